//! What help says beyond the arguments: examples, undo, exit codes. For someone in a hurry.

macro_rules! with_codes {
    ($text:literal) => {
        concat!(
            $text,
            "\n\nExit codes: 0 accepted (with --wait: enforced), 3 not enforced everywhere yet, 4 refused, \
2 usage, 1 unreachable or outcome not known"
        )
    };
}

pub(super) const TOP: &str = "\
In a hurry:
  rescind revoke session:https://idp.example#S1 --wait    end one session
  rescind disable user:https://idp.example#u1 --wait      lock a user out; undo: reinstate
  rescind kill tenant:acme --wait                         stop everything of a tenant; undo: lift
  rescind records                                         what is in force, with the ids to undo it
  rescind help kill                                       examples, what undo does

Try it on this machine: rescind dev

Exit codes:
  0  done; with --wait, board, watch: enforced everywhere; decide: allow
  1  unreachable, input or output failed, or the outcome is not known
  2  usage: the command line or a configuration file is wrong
  3  partial: accepted, and not every expected agent enforces it yet
  4  refused: the controller did not accept it, nothing was changed; decide: deny";

pub(super) const REVOKE: &str = with_codes!(
    "Examples:
  rescind revoke token:https://idp.example#J1             one token
  rescind revoke session:https://idp.example#S1 --wait    one session, and see it enforced
  rescind revoke user:https://idp.example#u1              all that this user was given until now
  rescind revoke user:u1 --cutoff 2026-03-01T12:00:00Z    all that was issued until then, from every issuer
  rescind revoke key:https://idp.example#K1               all that this key signed, for ever

Undo: none, a revoke is for good. The user can log in again and gets credentials that work; to keep the user \
out use `disable`. A login in the same second as the cutoff is denied once."
);

pub(super) const DISABLE: &str = with_codes!(
    "Examples:
  rescind disable user:https://idp.example#u1 --reason leaver --wait
  rescind --json disable user:u1 --key hr-4711            repeatable: the same key has one effect

Undo: `rescind reinstate ID`. New credentials work then; everything issued before the disable stays dead."
);

pub(super) const HOLD: &str = with_codes!(
    "Examples:
  rescind hold user:https://idp.example#u1 --reason suspicion --incident INC-7
  rescind hold client:ci-runner --wait=10s

Undo: `rescind lift ID`. Old credentials work again; with `--with-cutoff` they stay dead."
);

pub(super) const KILL: &str = with_codes!(
    "Examples:
  rescind kill tenant:acme --wait                         everything of one tenant
  rescind kill client:mobile-app --reason compromise      every token of one OAuth client
  rescind kill service:payments --incident INC-7          every request to one service
  rescind kill all --reason compromise --wait             everything, everywhere

Undo: `rescind lift ID` (the id is printed, and listed by `rescind records`). Old credentials work again, unless \
lifted `--with-cutoff`; after a kill with `--reason compromise` they stay dead unless lifted `--resume`."
);

pub(super) const GRANT: &str = with_codes!(
    "Examples:
  rescind grant role:refunder --action 'refund:*' --resource '/orders/*'
  rescind grant user:https://idp.example#u1 --member-of role:refunder
  rescind grant user:u1 --action order:read --resource '*' --tenant acme --until +8h

Undo: `rescind withdraw ID`."
);

pub(super) const WITHDRAW: &str = with_codes!(
    "Examples:
  rescind entitlements --holder user:https://idp.example#u1
  rescind withdraw grant0-1-77 --wait

Undo: grant it again; it gets a new id."
);

pub(super) const LIFT: &str = with_codes!(
    "Examples:
  rescind lift deny-1-42                    old credentials work again
  rescind lift deny-1-42 --with-cutoff      what was issued until now stays dead
  rescind lift deny-1-42 --with-cutoff=-1h  what was issued until an hour ago stays dead

It ends one record; other records on the same target stay. What was lifted is not put back by undoing: make a \
new hold or kill."
);

pub(super) const REINSTATE: &str = with_codes!(
    "Examples:
  rescind records --target user:https://idp.example#u1
  rescind reinstate deny-1-42

New credentials work; everything issued before the disable stays dead. It ends one record; other records on \
the same user stay."
);

pub(super) const INIT: &str = "\
Examples:
  rescind init prod --agent payments-1:payments --agent orders-1:orders \\
      --issuer https://idp.example --jwks https://idp.example/jwks.json
  rescind init prod --emitter ir:all:16 --emitter scanner:revoke,hold:2
  rescind init add-agent prod payments-2:payments

Files: directories 0700, secrets 0600, nothing that exists is overwritten. Move secrets/root.key off the machine \
afterwards; only add-agent needs it.

Words: revoke, disable, hold, kill, lift, reinstate, grant, withdraw, or `all`. Rungs: 1 token, 2 session, 5 user, 7 client, 10 service, 12 tenant, 14 key, 16 everything.

Exit codes: 0 done, 2 mistakes in the arguments (all are named), 4 the directory exists already, 1 cannot write";

pub(super) const DEV: &str = "\
Makes the directory when it is not there, finds or installs a nats-server, starts everything and prints commands \
to try. Data stay in the directory; signing keys of the issuer live in memory only.

Examples:
  rescind dev
  rescind dev --dir /tmp/try --service orders

Exit codes: 0 ended by Ctrl-C, 1 something could not be started, 2 usage";

pub(super) const DEMO: &str = "\
Examples:
  rescind demo
  rescind demo --keep       leave everything running and print commands to try
  rescind --json demo       one object for each step, and a last one with the result

Exit codes: 0 every observed decision was the expected one, 1 otherwise";

pub(super) const DEV_TOKEN: &str = "\
Examples:
  rescind dev-token --sub u1 --session s1 > t
  rescind decide --socket .rescind/run/agent.sock --token-file t --action order:read --resource /orders/1

Roles, groups and scopes in a token are hints: they grant nothing.
The token is a credential of the dev realm only; no other realm trusts it.";

pub(super) const CONTROLLER: &str = "\
Example:
  rescind controller --config prod/controller.toml

Every mistake in the file is reported at once (exit 2). Ctrl-C or SIGTERM ends it in order (exit 0).";

pub(super) const AGENT: &str = "\
Example:
  rescind agent --config prod/agents/payments-1.toml --socket /run/rescind/payments.sock

One JSON object in a line: {\"token\",\"action\",\"resource\",\"tenant\"} is answered with a decision, {\"status\":true} \
with the agent's state. Every mistake in the file is reported at once (exit 2).";

pub(super) const RECORDS: &str = "\
Examples:
  rescind records
  rescind records --target user:https://idp.example#u1 --state all
  rescind --json records --limit 100000";

pub(super) const ENTITLEMENTS: &str = "\
Examples:
  rescind entitlements --holder user:https://idp.example#u1
  rescind entitlements --holder role:refunder";

pub(super) const BOARD: &str = "\
Examples:
  rescind board             the latest records and every agent
  rescind board deny-1-42   agent by agent

Exit codes with an id: 0 enforced, 3 not everywhere yet";

pub(super) const WATCH: &str = "\
Examples:
  rescind watch deny-1-42
  rescind watch deny-1-42 --for 1m

Exit codes: 0 enforced, 3 not everywhere when it ended";

pub(super) const STATUS: &str = "\
Says whether this controller writes or follows (standby), the epoch, and what it lacks if history is missing.

Exit codes: 0 well, 3 something is degraded (it says what), 1 controller unreachable";

pub(super) const TAKEOVER: &str = "\
Examples:
  rescind takeover --url https://c2.example:7420    c2 is to write from now on
  rescind status --url https://c2.example:7420      which role it has

Ask the standby, not the writer. Nothing that was accepted is lost; agents see a new epoch and keep their leases. A \
standby takes over by itself when the writer is silent for 3 s: this is for maintenance, or where you do not want to \
wait. Undo: ask the other controller. Needs an emitter with the word `recover`.

Exit codes: 0 it writes, 4 refused (it writes already, no right, or it lost to another writer), \
1 unreachable or not known whether it writes, 2 usage";

pub(super) const RECOVER: &str = "\
In a hurry: first look for what is missing, it may come back by itself: start every controller and agent that has run \
lately. Recovery gives up what was accepted; what the lost records denied is only denied where somebody still has them.

  rescind recover plan --reason 'disk of c1 lost' -o statement                    any person
  rescind recover approve --emitter ir --emitter-key ir.key statement -o a.ir     one person, offline
  rescind recover approve --emitter ciso --emitter-key ciso.key statement -o a.ciso   another, offline
  rescind recover apply --statement statement --approval a.ir --approval a.ciso   any person

Afterwards: revoke again what was given up, from the lists of your ticket system. Undo: none.

Exit codes: 0 done, 4 refused, nothing was changed (nothing is missing, the log moved on, not two persons), \
1 unreachable or outcome not known, 2 usage (a file cannot be read, is no statement or no approval of it)";

pub(super) const DECIDE: &str = "\
Examples:
  rescind decide --socket .rescind/run/agent.sock --token-file t --action refund:create --resource /orders/17
  rescind dev-token --sub u1 | rescind decide --socket .rescind/run/agent.sock --token-file - \\
      --action order:read --resource /orders/1 --tenant acme

Exit codes: 0 allow, 4 deny, 1 no answer, 2 usage";

pub(super) const EXPLAIN: &str = "\
Example:
  rescind explain --socket .rescind/run/agent.sock --token-file t --action refund:create --resource /orders/17

Names every record that matches, the entitlements used, how fresh the answer is, and where the token claims \
something else than what is held. Without a controller the details of records are left out.

Exit codes: 0 allow, 4 deny, 1 no answer, 2 usage";

pub(super) const COMPLETIONS: &str = "\
Examples:
  rescind completions bash > ~/.local/share/bash-completion/completions/rescind
  rescind completions fish > ~/.config/fish/completions/rescind.fish";
