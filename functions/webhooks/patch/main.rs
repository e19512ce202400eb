//! Entry of the Lambda behind `webhooks-patch`.
use functions::{
    serve,
    webhooks::patch::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
