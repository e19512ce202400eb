//! Entry of the Lambda behind `auth-device`.
use functions::{
    auth::device::{ROUTE, handle},
    serve,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    serve::open(&ROUTE, handle).await
}
