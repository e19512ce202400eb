//! Entry of the Lambda behind `personas-versions`.
use functions::{
    personas::versions::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::route(&ROUTE, handle).await
}
