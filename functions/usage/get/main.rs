//! Entry of the Lambda behind `usage-get`.
use functions::{
    serve,
    usage::get::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
