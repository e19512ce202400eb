//! Entry of the Lambda behind `webhooks-test`.
use functions::{
    serve,
    webhooks::test::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
