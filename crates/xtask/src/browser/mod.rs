//! The pages in a real browser: headless Chromium against the real program, as voters and watchers use them.
//!
//! Each story is a function that gives a line of figures or fails. What the pages look like is kept as pictures in the
//! target directory, to be looked at.

mod console;
mod live;
mod looks;
mod tools;
mod voting;
mod webdriver;
mod world;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use clap::Args;

use self::{webdriver::Browser, world::World};
use crate::{
    machine,
    outcome::{Context, Outcome, ensure},
    server::Program,
    shell,
};

/// Which stories.
#[derive(Args)]
pub(crate) struct BrowserOptions {
    /// Only stories whose name holds one of these words.
    names: Vec<String>,
    /// A server that is built already.
    #[arg(long)]
    program: Option<PathBuf>,
}

impl BrowserOptions {
    /// Every story, against a server that is built already.
    pub(crate) fn for_tests(program: PathBuf) -> Self {
        Self { names: Vec::new(), program: Some(program) }
    }
}

/// What every story has.
struct Stage {
    browser: Browser,
    world: World,
    /// The source of axe-core.
    axe: String,
    /// Where pictures are kept.
    pictures: PathBuf,
}

type Story = fn(&mut Stage) -> Outcome<String>;

/// Every story by its name.
const STORIES: [(&str, Story); 12] = [
    ("looks", looks::looks),
    ("keyboard-alone", voting::keyboard_alone),
    ("without-scripts", voting::without_scripts),
    ("rankings", voting::rankings),
    ("budgets", voting::budgets),
    ("code-in-the-link", voting::code_in_the_link),
    ("offline", voting::offline),
    ("times", voting::times),
    ("votes-appear", live::votes_appear),
    ("curtain", live::curtain),
    ("restart", live::restart_in_the_middle),
    ("organiser", console::organiser),
];

/// Tells the stories that were asked for, and fails if one does not hold.
pub(crate) fn browser(options: &BrowserOptions) -> Outcome {
    let axe = match tools::prepare()? {
        Ok(axe) => axe,
        Err(reason) => {
            println!("browser: SKIPPED, {reason}\n\nbrowser: 0 passed, 0 failed, {} skipped", STORIES.len());
            return ensure(!machine::is_ci(), || "a run with CI=true leaves no story out".into());
        }
    };
    let path = match &options.program {
        Some(path) => path.clone(),
        None => shell::build_canvass("dev")?,
    };
    let pictures = shell::target()?.join("pictures");
    std::fs::create_dir_all(&pictures).context(pictures.display())?;
    let (mut passed, mut failed) = (0, 0);
    for (name, story) in STORIES {
        if !options.names.is_empty() && !options.names.iter().any(|word| name.contains(word)) {
            continue;
        }
        let started = Instant::now();
        let told = tell(story, &path, &axe, &pictures);
        let seconds = started.elapsed().as_secs_f64();
        match told {
            Ok(figures) => {
                passed += 1;
                println!("{name}: {figures} ({seconds:.1} s)");
            }
            Err(error) => {
                failed += 1;
                println!("{name}: FAILED, {error} ({seconds:.1} s)");
            }
        }
    }
    println!("\nbrowser: {passed} passed, {failed} failed, 0 skipped; pictures in {}", pictures.display());
    ensure(failed == 0, || "the pages did not hold in a browser".into())
}

/// Each story has a server and a browser of its own: nothing is left over from another.
fn tell(story: Story, program: &Path, axe: &str, pictures: &Path) -> Outcome<String> {
    let world = World::start(Program::new(program.to_owned()))?;
    let browser = Browser::start()?;
    story(&mut Stage { browser, world, axe: axe.to_owned(), pictures: pictures.to_owned() })
}
