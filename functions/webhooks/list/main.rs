//! Entry of the Lambda behind `webhooks-list`.
use functions::{
    serve,
    webhooks::list::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
