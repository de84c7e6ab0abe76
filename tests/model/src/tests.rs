//! The whole protocol holds; with any one rule left out it does not.

use super::*;

fn reaches(bound: Bound, wanted: &[&str]) {
    let explored = exhaust(bound);
    assert_eq!(explored.broken, [], "a guarantee falls");
    for name in wanted {
        assert!(explored.reached.contains(name), "not {name}: the model does too little to prove anything");
    }
    assert!(explored.states > 10_000, "only {} states", explored.states);
}

#[test]
fn s1_s13_hold_in_every_state_of_one_agent_and_two_take_overs() {
    reaches(Bound::SINGLE, &REACHED);
}

#[test]
fn s2_holds_in_every_state_of_two_agents_and_a_record() {
    reaches(Bound::PAIR_DENY, &[properties::SECOND_WRITER_GRANTS, properties::ENFORCED_EARLY]);
}

#[test]
fn s2_holds_in_every_state_of_two_agents_and_a_withdrawal() {
    reaches(Bound::PAIR_GRANT, &[properties::ENFORCED_EARLY]);
}

#[test]
fn s5_holds_in_every_state_of_an_agent_with_a_disk() {
    reaches(Bound::DISK, &[properties::SECOND_WRITER_GRANTS]);
}

/// The shortest way to break the guarantee is found, and every step of it is needed to be there: the explorer
/// goes breadth first.
fn refutes(rule: Rule) {
    let refuted = refute(rule);
    let Some(refuted) = refuted else { panic!("{:?} holds with {}", rule.guards(), rule.without()) };
    assert!((1..=14).contains(&refuted.steps.len()), "{:?}", refuted.steps);
}

#[test]
fn model_refutes_anchoring_at_receipt() {
    refutes(Rule::AnchorBeforeAsking);
}

#[test]
fn model_refutes_not_checking_applied_at_or_past_head() {
    refutes(Rule::AppliedAtOrPastHead);
}

#[test]
fn model_refutes_a_heartbeat_without_nonce() {
    refutes(Rule::NonceNeeded);
}

#[test]
fn model_refutes_answers_by_a_deposed_controller() {
    refutes(Rule::DeposedNeverAnswers);
}

#[test]
fn model_refutes_lease_stored_before_state() {
    refutes(Rule::StateStoredBeforeLease);
}

#[test]
fn model_refutes_state_read_before_lease() {
    refutes(Rule::LeaseReadBeforeState);
}

#[test]
fn model_refutes_acknowledging_before_the_append() {
    refutes(Rule::AcknowledgeAfterAppend);
}

#[test]
fn model_refutes_skipping_a_gap() {
    refutes(Rule::NoGapSkipped);
}

#[test]
fn model_refutes_a_nonce_not_bound_to_its_own_clock() {
    refutes(Rule::NonceBoundToItsClock);
}

#[test]
fn model_refutes_a_take_over_without_fencing_the_grant_lane() {
    refutes(Rule::GrantLaneFenced);
}

#[test]
fn model_refutes_a_tick_answered_before_its_append() {
    refutes(Rule::TickAnsweredAfterAppend);
}

#[test]
fn model_refutes_a_tick_made_before_its_nonces_were_collected() {
    refutes(Rule::HeadsNotOlderThanNonces);
}

#[test]
fn model_refutes_appending_without_compare_and_set() {
    refutes(Rule::CompareAndSet);
}

#[test]
fn model_refutes_noting_a_grant_only_once_its_tick_is_stored() {
    refutes(Rule::GrantNotedBeforeTick);
}

#[test]
fn model_refutes_trusting_receipts_right_after_a_take_over() {
    refutes(Rule::BlindAfterTakeOver);
}

#[test]
fn model_refutes_a_lease_that_survives_a_restart() {
    refutes(Rule::LeaseEndsWithRestart);
}

#[test]
fn model_refutes_a_durable_receipt_before_the_state_is_on_disk() {
    refutes(Rule::ReceiptAfterStore);
}

#[test]
fn every_rule_has_its_test() {
    let text = include_str!("tests.rs");
    for rule in Rule::ALL {
        assert!(text.contains(&format!("refutes(Rule::{rule:?})")), "{rule:?} is not refuted in any test");
    }
}
