//! Entry of the Lambda behind `webhooks-create`.
use functions::{
    serve,
    webhooks::create::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
