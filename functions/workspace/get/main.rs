//! Entry of the Lambda behind `workspace-get`.
use functions::{
    serve,
    workspace::get::{ROUTE, handle},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
