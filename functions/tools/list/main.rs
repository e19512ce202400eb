//! Entry of the Lambda behind `tools-list`.
use functions::{
    serve,
    tools::list::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
