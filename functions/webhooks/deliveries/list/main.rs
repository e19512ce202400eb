//! Entry of the Lambda behind `deliveries-list`.
use functions::{
    serve,
    webhooks::deliveries::list::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
