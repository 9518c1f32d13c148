//! `canvass key`: makes, lists, replaces and revokes API keys.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    cli::Access,
    client::{Answer, segment},
    failure::Failure,
    output,
};

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key; its secret is shown this once
    Create(CreateArgs),
    /// List the keys
    List {
        #[command(flatten)]
        access: Access,
    },
    /// Give a key a new secret; the older one is accepted for another day
    Rotate(RotateArgs),
    /// Make a key worthless
    Revoke {
        /// The key's id
        id: String,
        #[command(flatten)]
        access: Access,
    },
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// What to call it
    name: String,
    /// What it may be used for; may be repeated, or a list with commas
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',',
        value_parser = ["polls:write", "polls:read", "votes:write", "votes:read", "results:read", "exports:read", "admin"])]
    scopes: Vec<String>,
    /// `standard` (100 requests a second, 10 votes a second, 10,000 requests a day) or `unlimited`
    #[arg(long, value_parser = ["standard", "unlimited"])]
    plan: Option<String>,
    /// Requests a second, in place of the plan's
    #[arg(long, value_name = "NUMBER")]
    rate: Option<u32>,
    /// Requests at once; twice the rate if absent
    #[arg(long, value_name = "NUMBER", requires = "rate")]
    burst: Option<u32>,
    /// Requests in one day of UTC
    #[arg(long, value_name = "NUMBER")]
    quota_per_day: Option<u64>,
    /// When it ends, for example 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Args)]
struct RotateArgs {
    /// The key's id
    id: String,
    /// Until when the older secret is accepted [default: for 24 hours]
    #[arg(long, value_name = "TIME")]
    expire_previous_at: Option<String>,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn run(args: KeyArgs) -> Result<(), Failure> {
    match args.command {
        KeyCommand::Create(args) => create(args).await,
        KeyCommand::List { access } => list(&access).await,
        KeyCommand::Rotate(args) => rotate(args).await,
        KeyCommand::Revoke { id, access } => revoke(&id, &access).await,
    }
}

async fn create(args: CreateArgs) -> Result<(), Failure> {
    let mut request = json!({"name": args.name, "scopes": args.scopes});
    set(&mut request, "plan", args.plan);
    set(&mut request, "rate", args.rate);
    set(&mut request, "burst", args.burst);
    set(&mut request, "quotaPerDay", args.quota_per_day);
    set(&mut request, "expiresAt", args.expires_at);
    let key = args.access.client()?.send_json(Method::POST, "/v1/keys", &request).await?;
    print_secret(&key, args.access.json)
}

async fn rotate(args: RotateArgs) -> Result<(), Failure> {
    let mut request = Value::Object(Map::new());
    set(&mut request, "expirePreviousAt", args.expire_previous_at);
    let path = format!("/v1/keys/{}/rotate", segment(&args.id));
    let key = args.access.client()?.send_json(Method::POST, &path, &request).await?;
    print_secret(&key, args.access.json)
}

fn print_secret(answer: &Answer, json: bool) -> Result<(), Failure> {
    if json {
        return Ok(output::answer(answer)?);
    }
    let key = answer.json()?;
    output::line(format_args!("Key {}. Its secret is shown this once:", output::text(&key["id"])))?;
    Ok(output::line(output::text(&key["secret"]))?)
}

async fn list(access: &Access) -> Result<(), Failure> {
    let answer = access.client()?.get("/v1/keys").await?;
    if access.json {
        return Ok(output::answer(&answer)?);
    }
    let heading = ["id", "name", "scopes", "expires", "revoked"].map(str::to_owned).to_vec();
    let row = |key: &Value| {
        let scopes: Vec<_> = key["scopes"].as_array().into_iter().flatten().map(output::text).collect();
        vec![
            output::text(&key["id"]),
            output::text(&key["name"]),
            scopes.join(","),
            output::text(&key["expiresAt"]),
            output::text(&key["revokedAt"]),
        ]
    };
    let answer = answer.json()?;
    let keys = answer["items"].as_array().into_iter().flatten().map(row);
    Ok(output::table(&std::iter::once(heading).chain(keys).collect::<Vec<_>>())?)
}

async fn revoke(id: &str, access: &Access) -> Result<(), Failure> {
    access.client()?.send(Method::DELETE, &format!("/v1/keys/{}", segment(id)), None).await?;
    let json = json!({"id": id, "revoked": true});
    Ok(output::either(access.json, &json, format_args!("Key {id} is revoked"))?)
}

fn set(request: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        request[name] = value.into();
    }
}
