//! Entry of the Lambda behind `pipelines-update`.
use functions::{
    pipelines::update::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
