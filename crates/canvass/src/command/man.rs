//! `canvass man`: the manual pages, made from the same list of commands and options as `--help`.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::{Args, CommandFactory as _};

use crate::{cli::Cli, failure::Failure};

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write a page for each command into this directory
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    match &args.output {
        None => Ok(std::io::stdout().lock().write_all(&page(&command)?)?),
        Some(directory) => {
            std::fs::create_dir_all(directory).map_err(|error| Failure::file(directory, &error))?;
            write_pages(&command, directory)
        }
    }
}

fn write_pages(command: &clap::Command, directory: &Path) -> Result<(), Failure> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = directory.join(format!("{name}.1"));
    std::fs::write(&path, page(command)?).map_err(|error| Failure::file(&path, &error))?;
    let subcommands = command.get_subcommands().filter(|command| command.get_name() != "help");
    subcommands.into_iter().try_for_each(|command| write_pages(command, directory))
}

fn page(command: &clap::Command) -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}
