//! `canvass recount`: counts a poll anew from the ledger and compares.

use clap::Args;
use http::Method;
use serde_json::Value;

use crate::{cli::Access, client::segment, failure::Failure, output};

#[derive(Debug, Args)]
pub(crate) struct RecountArgs {
    /// The poll's id
    poll: String,
    #[command(flatten)]
    access: Access,
}

pub(crate) async fn run(args: RecountArgs) -> Result<(), Failure> {
    let path = format!("/v1/polls/{}/recount", segment(&args.poll));
    let answer = args.access.client()?.send(Method::POST, &path, None).await?;
    let recount = answer.json()?;
    let matches = recount["matches"] == Value::Bool(true);
    if args.access.json {
        output::answer(&answer)?;
    } else {
        print(&recount)?;
    }
    if matches {
        return Ok(());
    }
    Err(Failure::failed(
        "the recount does not agree with the stored count; stop the server and run `canvass doctor`",
    ))
}

fn print(recount: &Value) -> std::io::Result<()> {
    let mut rows = vec![["", "recounted", "stored"].map(str::to_owned).to_vec()];
    let row = |name: &str, pointer: &str| {
        let figure = |side: &str| output::text(recount[side].pointer(pointer).unwrap_or(&Value::Null));
        vec![name.to_owned(), figure("recounted"), figure("stored")]
    };
    rows.push(row("votes", "/votes"));
    let options = recount["recounted"]["options"].as_object().into_iter().flatten();
    rows.extend(options.map(|(id, _)| row(id, &format!("/options/{id}"))));
    output::table(&rows)?;
    let agree = if recount["matches"] == Value::Bool(true) { "agree" } else { "DO NOT AGREE" };
    output::line(format_args!("Up to sequence {} the two {agree}.", recount["sequence"]))
}
