//! Who the changes are about: people with a token each, and the questions that agents ask about them.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rescind_testkit::{KitError, KitResult, TestIssuer};

use crate::lines::Question;

/// What everybody does.
pub const ACTION: &str = "orders:read";

/// What a person's changes and questions are about; one session, one client and one permission each, so that every
/// change concerns exactly one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// Target and holder.
    pub user: String,
    /// Target.
    pub session: String,
    /// Target.
    pub client: String,
    /// Resource of the permission.
    pub resource: String,
}

/// The names of the person that a question is about.
#[must_use]
pub fn names_of(question: &str, issuer: &str) -> Names {
    Names {
        user: format!("user:{issuer}#{question}"),
        session: format!("session:{issuer}#s-{question}"),
        client: format!("client:app-{question}"),
        resource: format!("orders/{question}"),
    }
}

/// Somebody with a token.
#[derive(Debug, Clone)]
pub struct Person {
    /// Name of the person and of the question.
    pub name: String,
    /// Target and holder.
    pub user: String,
    /// Target.
    pub session: String,
    /// Target.
    pub client: String,
    /// Resource of the permission.
    pub resource: String,
    token: String,
}

impl Person {
    /// Somebody new.
    ///
    /// # Errors
    /// The issuer has no key.
    pub fn new(issuer: &TestIssuer, name: &str) -> KitResult<Self> {
        let token = issuer.token(name).session(&format!("s-{name}")).client(&format!("app-{name}"));
        let token = token.jti(&format!("j-{name}")).sign()?;
        let Names { user, session, client, resource } = names_of(name, issuer.url());
        Ok(Self { name: name.to_owned(), user, session, client, resource, token })
    }
}

/// The file of questions that every agent follows.
#[derive(Debug, Clone)]
pub struct Questions {
    file: Arc<Mutex<File>>,
}

impl Questions {
    /// Appends to `path`.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> KitResult<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(KitError::because(format!("open {}", path.display())))?;
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }

    /// From now on every agent asks about this person.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn ask(&self, person: &Person) -> KitResult {
        self.write(person, false)
    }

    /// Nobody asks about this person any more.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn drop_question(&self, person: &Person) -> KitResult {
        self.write(person, true)
    }

    fn write(&self, person: &Person, over: bool) -> KitResult {
        let question = Question {
            q: person.name.clone(),
            token: person.token.clone(),
            action: ACTION.to_owned(),
            resource: person.resource.clone(),
            over,
        };
        let mut line = serde_json::to_string(&question).map_err(KitError::because("write a question"))?;
        line.push('\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(line.as_bytes()).map_err(KitError::because("write a question"))
    }
}
