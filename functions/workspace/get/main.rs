//! Entry of the Lambda behind `workspace-get`.
use functions::{workspace::get::{ROUTE, handle}, serve};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
