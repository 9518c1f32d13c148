//! `canvass serve`: the server.

use std::io::{self, Write as _};

use clap::Args;

use crate::{
    command::doctor::restored_line,
    config::ServerArgs,
    failure::Failure,
    logging,
    start::{Server, keep_pages_small, raise_file_limit, stop_signal},
};

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    server: ServerArgs,
}

pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let settings = args.server.settings()?;
    logging::start(&settings)?;
    keep_pages_small();
    raise_file_limit();
    let server = Server::start(&settings)?;
    // Nobody may be reading; the server runs all the same.
    let _ = greet(&server);
    if let Some(restored) = &server.engine.restored {
        tracing::warn!(at = %restored.restored_at, from = %restored.from.display(), "this is a restored server");
    }
    tracing::info!(address = %server.listeners.address(), "serving");
    let drained = server.run(stop_signal())?;
    tracing::info!(connections_cut = drained.connections_cut, "stopped");
    Ok(())
}

/// Says where the server is and what it found; at the first start also the admin key, this once, and what to do next.
fn greet(server: &Server) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let url = server.url();
    writeln!(out, "Canvass listens on {url}")?;
    if let Some(restored) = &server.engine.restored {
        writeln!(out, "{}", restored_line(restored))?;
    }
    writeln!(out, "Data: {}", server.engine.found)?;
    if let Some(key) = &server.made_key {
        write!(out, "{}", first_steps(&url, key))?;
    }
    out.flush()
}

/// Lines that can be pasted as they are.
fn first_steps(url: &str, key: &str) -> String {
    format!(
        r#"
The admin key, shown this once. Keep it: whoever has it may do everything here.
  {key}

Create a poll, vote, and see the result, from another terminal:
  export CANVASS_SERVER={url} CANVASS_KEY={key}
  curl -s $CANVASS_SERVER/v1/polls -H "x-api-key: $CANVASS_KEY" -H 'content-type: application/json' -d '{{"id":"lunch","title":"Lunch?","options":[{{"id":"pizza","label":"Pizza"}},{{"id":"soup","label":"Soup"}}],"status":"open"}}'
  curl -s $CANVASS_SERVER/v1/polls/lunch/votes -H "x-api-key: $CANVASS_KEY" -H 'content-type: application/json' -d '{{"voterId":"ada","ballot":{{"choice":"pizza"}}}}'
  curl -s $CANVASS_SERVER/v1/polls/lunch/results -H "x-api-key: $CANVASS_KEY"
The same with this program: canvass vote lunch --voter bob --choice soup; canvass results lunch
The same in a browser: {url}/console, signed in with the key
"#
    )
}
