//! Entry of the Lambda behind `marketplace-get`.
use functions::{
    marketplace::get::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
