//! Entry of the Lambda behind `pipelines-delete`.
use functions::{
    pipelines::delete::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
