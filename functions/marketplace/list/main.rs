//! Entry of the Lambda behind `marketplace-list`.
use functions::{
    marketplace::list::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
