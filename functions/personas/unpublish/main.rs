//! Entry of the Lambda behind `personas-unpublish`.
use functions::{
    personas::unpublish::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
