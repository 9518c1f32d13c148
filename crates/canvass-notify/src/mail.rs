//! Mail, handed over to a server by SMTP.

use std::fmt;

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};

use crate::{Letter, limits::MAIL_WAIT_MAX};

/// Where mail is handed over, and whose it is.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// Why mail cannot be set up or handed over. It names no password.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server's address is none.
    #[error("write the mail server as smtps://name:password@host or smtp://host:port?tls=required")]
    Server,
    /// An address of mail is none.
    #[error("{0:?} is no address of mail")]
    Address(String),
    /// It could not be written.
    #[error("the mail cannot be written")]
    Letter,
    /// The server did not take it.
    #[error("the mail server did not take it: {0}")]
    Refused(String),
}

impl Mailer {
    /// Hands mail over to a server, from one address to others.
    ///
    /// # Errors
    /// An address that is none.
    pub fn new(server: &str, from: &str, to: &[String]) -> Result<Self, MailError> {
        let transport =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(server).map_err(|_| MailError::Server)?;
        let transport = transport.timeout(Some(MAIL_WAIT_MAX)).build();
        let to = to.iter().map(|address| mailbox(address)).collect::<Result<_, _>>()?;
        Ok(Self { transport, from: mailbox(from)?, to })
    }

    /// Hands a mail over, once.
    ///
    /// # Errors
    /// What the server said, or why it was not reached.
    pub async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let mut builder = Message::builder().from(self.from.clone()).subject(&letter.subject);
        for to in &self.to {
            builder = builder.to(to.clone());
        }
        let message = builder.header(ContentType::TEXT_PLAIN).body(letter.text.clone());
        let message = message.map_err(|_| MailError::Letter)?;
        self.transport.send(message).await.map_err(|error| MailError::Refused(error.to_string()))?;
        Ok(())
    }
}

fn mailbox(text: &str) -> Result<Mailbox, MailError> {
    let address: Address = text.trim().parse().map_err(|_| MailError::Address(text.to_owned()))?;
    Ok(Mailbox::new(None, address))
}

impl fmt::Debug for Mailer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mailer").field("to", &self.to.len()).finish_non_exhaustive()
    }
}
