//! Entry of the Lambda behind `webhooks-delete`.
use functions::{
    serve,
    webhooks::delete::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
