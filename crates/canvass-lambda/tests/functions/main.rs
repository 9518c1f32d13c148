//! The functions' real programs over DynamoDB Local, in an emulator of Lambda and API Gateway.
//!
//! The scripts of the server's own tests run here too, unchanged, and must hear what the server says.

mod calls;
mod deployed;
#[path = "../../../canvass-server/tests/http/dialects.rs"]
mod dialects;
mod emulator;
mod exactness;
mod gateway;
#[expect(dead_code, reason = "it also serves tests that look into the server or move its time")]
#[path = "../../../canvass-server/tests/http/harness.rs"]
mod harness;
mod http;
mod measure;
mod place;
mod story;
mod stream;
mod template;
mod world;
