//! Questions before something is done that cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use super::Usage;

/// Asks; or fails where there is nobody to ask. `yes` answers already.
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        return Err(Usage(format!("{question} Nobody is there to ask: add --yes")).into());
    }
    write!(anstream::stderr().lock(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let agreed = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !agreed {
        super::note("nothing was done");
    }
    Ok(agreed)
}
