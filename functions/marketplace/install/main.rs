//! Entry of the Lambda behind `marketplace-install`.
use functions::{
    marketplace::install::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
