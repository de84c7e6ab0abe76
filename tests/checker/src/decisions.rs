//! Questions and answers: S1, S3, S4, S6, S8, S10 to S12, S14, S15, S17.

use rescind_core::position::Lane;

use crate::event::{Decision, Run};
use crate::history::Verdict;
use crate::{Checker, Guarantee};

impl Checker {
    pub(crate) fn decision(&mut self, decision: &Decision) {
        let Decision { run, began, read, request, deny, grant, .. } = decision;
        self.judge(Guarantee::S11);
        if let Some((lane, wanted)) = request.at_least {
            let position = if lane == Lane::Deny { *deny } else { *grant };
            if decision.allow && position < wanted {
                let text = format!("{run} answers at {lane} {position}, but {wanted} was asked for");
                self.broken(Guarantee::S11, *read, Some(*run), text);
            }
        }
        let receipt = self.runs.get(*run).and_then(|state| state.receipt);
        if let Some((at, heads)) = receipt
            && at < *began
            && (*deny < heads.deny.position || *grant < heads.grant.position)
        {
            let text =
                format!("{run} acknowledged deny {} before, and answers at {deny}", heads.deny.position);
            self.broken(Guarantee::S10, *read, Some(*run), text);
        }
        if let Some(record) = decision.record.filter(|_| !decision.allow) {
            self.judge(Guarantee::S17);
            match self.history.subject(record) {
                Some(subject) if !request.subjects.contains(&subject) => {
                    let text = format!("{run} denies for {record}, which names somebody else");
                    self.broken(Guarantee::S17, *read, Some(*run), text);
                }
                Some(_) => {
                    self.runs.agent(*run).denied_by.insert(record);
                }
                None => {}
            }
        }
        if decision.allow {
            self.allowed(decision, *run);
        }
    }

    fn allowed(&mut self, decision: &Decision, run: Run) {
        let Decision { read, request, deny, grant, .. } = decision;
        let (read, deny, grant) = (*read, deny.revision.0, grant.revision.0);
        let Some(state) = self.runs.get(run) else { return };
        let (strict, standing) = (state.strict, state.has_standing_fault);
        let lapsed = state.view.is_some() && state.fresh_at(read).is_none();
        if strict && lapsed {
            self.broken(Guarantee::S12, read, Some(run), format!("{run} allows without a lease"));
        }
        if standing {
            self.broken(Guarantee::S12, read, Some(run), format!("{run} allows in spite of a fault"));
        }
        let too_late = request.valid_until.is_some_and(|until| read >= until);
        let too_early = request.valid_from.is_some_and(|from| read < from);
        self.judge(Guarantee::S15);
        if too_late || too_early {
            let text = format!("{run} allows a token that is not valid at the controller's time");
            self.broken(Guarantee::S15, read, Some(run), text);
        }
        self.judge(Guarantee::S8);
        match self.history.verdict(request, deny, grant) {
            Verdict::Allow => {}
            Verdict::Denied(record) => {
                let was_denied = self.runs.agent(run).denied_by.contains(&record);
                let guarantee = match (self.history.is_forgotten(record), was_denied) {
                    (true, _) => Guarantee::S14,
                    (false, true) => Guarantee::S6,
                    (false, false) => Guarantee::S8,
                };
                let text = format!("{run} allows at deny {deny} what {record} denies");
                self.broken(guarantee, read, Some(run), text);
            }
            Verdict::Absent => {
                let text = format!("{run} allows at grant {grant} without an entitlement");
                self.broken(Guarantee::S3, read, Some(run), text);
            }
            Verdict::Early(needs) => {
                let text = format!("{run} allows at deny {deny} by a grant that came after deny {needs}");
                self.broken(Guarantee::S4, read, Some(run), text);
            }
        }
        if strict
            && let Some(time) = read.checked_sub(self.settings.bound())
            && let Some(id) = self.history.overdue(request, deny, grant, time)
        {
            let text = format!("{run} allows at deny {deny} grant {grant}, past the bound of {id}");
            self.broken(Guarantee::S1, read, Some(run), text);
        }
    }
}
