//! Entry of the Lambda behind `webhooks-get`.
use functions::{
    serve,
    webhooks::get::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
