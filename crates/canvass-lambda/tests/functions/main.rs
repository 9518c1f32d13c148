//! The functions' real programs over DynamoDB Local, in an emulator of Lambda and API Gateway.
//!
//! The scripts of the server's own tests run here too, unchanged, and must hear what the server says; with
//! `CANVASS_TEST_ANSWERED_BY=server` a server on DynamoDB answers them instead.

#![expect(clippy::unwrap_used, reason = "in a test a failed step is a failed test")]

mod bucket;
mod calls;
#[path = "../../../canvass-server/tests/http/contract.rs"]
mod contract;
mod deployed;
#[path = "../../../canvass-server/tests/http/dialects.rs"]
mod dialects;
mod documents;
mod emulator;
mod exactness;
mod gateway;
#[expect(dead_code, reason = "it also serves tests that look into the server or move its time")]
#[path = "../../../canvass-server/tests/http/harness.rs"]
mod harness;
mod http;
mod measure;
mod place;
mod poison;
#[expect(dead_code, reason = "it also serves tests of faults")]
#[path = "../../../canvass-dynamodb/tests/dynamodb/proxy.rs"]
mod proxy;
mod redis;
#[expect(dead_code, reason = "it also serves tests that cut servers off from Redis")]
#[path = "../../../canvass-dynamodb/tests/dynamodb/redis_server.rs"]
mod redis_server;
#[expect(dead_code, reason = "it also serves tests of who may write")]
#[path = "../../../canvass-export/tests/buckets/s3.rs"]
mod s3;
mod scene;
mod server;
mod story;
mod stream;
mod template;
#[path = "../../../canvass-server/tests/http/votes.rs"]
mod votes;
mod world;
