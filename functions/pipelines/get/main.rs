//! Entry of the Lambda behind `pipelines-get`.
use functions::{
    pipelines::get::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
