//! The English texts.

use super::texts::Texts;

pub(super) const TEXTS: Texts = Texts {
    tag: "en",
    units_of_time: ["ms", "s", "min", "h", "d"],
    title: "Recovery drill report",
    product: "made by lifeboat from the signed ledger",
    contradiction: "The details of this drill contradict its record on the ledger. Do not rely on \
                    this page; verify the ledger first.",

    words: ["Pass", "Fail", "Inconclusive"],
    passed: |point| {
        format!(
            "The recovery point of {point} was restored in a scratch environment, everything that \
             was compared equals what had been captured, and every declared check held."
        )
    },
    passed_in_part: |point| {
        format!(
            "The recovery point of {point} was restored in a scratch environment and everything that \
             was compared equals what had been captured, but not everything could be compared: the \
             reason stands beside the part that is not applicable."
        )
    },
    is_upgrade: "This is an upgrade rehearsal.",
    failed: |parts| format!("This recovery does not do what was promised. Answered no: {parts}."),
    undecided: |parts| {
        format!("This drill could not decide, and that is not a pass. Not answered: {parts}.")
    },
    in_a_disaster: |recovery, age| {
        format!(
            "Had everything been lost when this drill began, the data would have been back after \
             {recovery} on such hardware, and at most the last {age} of changes would be gone."
        )
    },
    separator: ", ",

    parts: "The verdict and its parts",
    part: "Part",
    meaning: "What yes means",
    answer: "Answer",
    reason: "Reason",
    part_names: ["Restorable", "Intact", "Within RTO", "Within RPO", "Cleaned up"],
    part_meanings: [
        "Every stored object was there, authentic and unaltered; everything came out; every engine \
         started on it.",
        "The engines' own checks are clean, content and schema equal those taken at capture, and \
         every check of the owner holds.",
        "The recovery time kept the recovery time objective.",
        "The data was no older than the recovery point objective allows.",
        "Nothing of the scratch environment is left: no process, no copy of the data.",
    ],
    answers: ["yes", "no", "unknown", "not applicable"],

    identity: "What was rehearsed, when and where",
    fact: "Item",
    value: "Value",
    customer: "Customer",
    policy: "Policy",
    drill: "Drill",
    no_drill: "none declared: all standard steps",
    record: "Ledger record",
    recorded_by: |name, host| format!("recorded by {name} on {host}"),
    run: "Run",
    policy_digest: "Policy version (SHA-256)",
    details_digest: "Details (SHA-256)",
    slot: "Due at",
    no_slot: "started by hand, outside the schedule",
    started: "Started",
    finished: "Finished",
    point: "Recovery point (snapshot)",
    comes_back: "Point that comes back",
    would_lose: |time| format!("Restoring it would lose the {time} before this drill."),
    none_comes_back: |tried| {
        format!("None of the {tried} older ones drilled after this one was shown to.")
    },
    no_point: "none could be picked",
    point_time: "Snapshot taken",
    consistent_time: "State of the data as of",
    picked: "How it was picked",
    picked_how: |pick, candidates| format!("{pick}, out of {candidates} recovery points"),
    campaign: "Sampling campaign",
    drawn_by: |campaign| {
        format!("{campaign}; what it states of all recovery points stands on its own page")
    },
    complete: "Completeness",
    is_complete: "complete: every selected item is stored",
    is_incomplete: "incomplete: some selected items are not stored (listed below)",
    origin: "Made by",
    made_by_lifeboat: "lifeboat, with fingerprints taken at capture",
    made_by_other: "another program: no fingerprints to compare with",
    store: "Read from",
    scratch_host: "Restored on host",
    hardware: |cores, memory| format!("{cores} processor cores, {memory} of memory"),
    hardware_label: "Hardware",
    storage: "Scratch storage",
    sandbox: "Confinement",

    compared: "What was compared with what",
    compared_how: "At capture a fingerprint was taken of the very state that was backed up: for \
                   every table or path the number of rows or entries and a digest of their \
                   content. The same was computed from what was restored. Equal means that both \
                   agree.",
    nothing_compared: "Nothing was restored and compared.",
    source_came_back: |entries, bytes| format!("{entries}, {bytes} restored"),
    captured_on: |host| format!("captured on {host}"),
    taken_from_replica: |host, lag| format!("from the replica {host}, at most {lag} behind"),
    taken_from_primary: |host| format!("from {host}, which is no replica"),
    passed_over: |host, why| format!("{host} did not qualify: {why}"),
    upgraded: |major| {
        format!(
            "upgrade rehearsal: brought up on major version {major}; no proof for its own engine"
        )
    },
    retold: |objects| {
        format!("told in other words by the newer version, so not compared: {objects}")
    },
    equality_not_required: |reason, why| {
        format!("rows were not compared, which the policy does not require: {reason} ({why})")
    },
    as_of: |time| format!("as of {time}"),
    table_or_path: "Table or path",
    captured: "Rows or entries captured",
    restored: "Restored",
    equal: "Content",
    equals: ["equal", "different"],
    more_equal: |number| format!("and {number} more, all equal"),

    checks: "Checks",
    checks_held: |held, declared| {
        format!(
            "{held} of {declared} checks held: the standard ones and those that the drill declares."
        )
    },
    rung: "Step",
    check: "Check",
    outcome: "Outcome",
    amount: "Compared",
    took: "Took",
    expected: "expected",
    found: "found",
    at_capture: "at capture",
    why_not_run: "not run because",
    places: |shown, total| format!("{shown} of {total} places:"),
    outcomes: ["held", "broke", "not run"],

    independent: "The same point, restored independently",
    independent_how: |by| {
        format!(
            "After all that, {by} restored the same snapshot once more, without lifeboat's own \
             readers, and each engine's own client loaded it into a second scratch server. Both \
             were asked the statements below. It does not count as recovery time."
        )
    },
    complained: "It restored, and ended badly:",
    by_lifeboat: "Restored by lifeboat",
    by_others: "Restored independently",

    time: "Recovery time and data age",
    recovery_time: "Recovery time",
    in_scratch: "in scratch",
    rto: "Recovery time objective (RTO)",
    data_age: "Data age",
    data_age_how: "From the earliest source's state to the start of the drill.",
    rpo: "Recovery point objective (RPO)",
    undeclared: "not declared",
    unmeasured: "not measured",
    phase: "Phase",
    counts: "Recovery time",
    counted: ["counts", "told apart"],
    bar_phases: "Phases",
    bar_against: "Against the RTO",
    bar_caption: |total, hardware| format!("Recovery time {total}, in scratch: {hardware}"),
    bar_described: |phases, total, objective| match objective {
        Some(objective) => {
            format!("Recovery time by phase: {phases}. In all {total}; objective {objective}.")
        }
        None => format!("Recovery time by phase: {phases}. In all {total}; no objective declared."),
    },

    controls: "Controls: can the checks fail at all?",
    controls_how: "After the checks, faults were put into the scratch copy on purpose. Each had to \
                   be found by the right check at the right place.",
    controls_found: |found, run| format!("{found} of {run} faults were found."),
    no_controls: "No control was run in this drill.",
    fault: "Fault",
    injured: "Put where",
    expected_check: "Check that had to find it",
    said: "What the check said",
    control_results: ["found", "missed", "did not run"],
    found_there: "found there",

    skipped: "What the recovery point does not hold",
    skipped_how: "These items were selected by the policy but could not be read at capture.",
    nothing_skipped: "No selected item was left out.",
    beside: "Damaged beside the recovery point",
    beside_how: "These were found while the recovery point was fetched. This drill did not restore \
                 them, and its verdict says nothing of them.",
    object: "Item",
    what: "What is wrong",

    not_covered: "Not covered",
    not_covered_how: "These belong to the sources and are not in the recovery point. Nothing here \
                      shows that they could be recovered.",
    all_covered: "Nothing was seen at capture that the recovery point leaves out.",
    source: "Source",
    names: "Names",
    and_more: |number| format!("and {number} more"),

    history: "Earlier drills of this policy",
    history_how: "Newest first, at most ten.",
    when: "Started",
    verdict: "Verdict",

    limits: "What this does not show",
    limits_always: [
        "It speaks of this one recovery point on this day. Other points, and later ones, are shown \
         by their own drills only.",
        "The recovery time was measured in a scratch environment. Noticing a disaster, deciding, \
         procuring hardware, changing networks and starting the application come on top.",
        "What was wrong in the data already when it was captured is equal on both sides and is not \
         found by comparing them.",
        "Only what the policy names was backed up and rehearsed. The application itself was not \
         started, nor were names, certificates, log-ins or outside services tested.",
        "A compromised source can hand over false data, and a drill cannot notice.",
        "The signature shows that the holder of the key wrote this record, and that nothing before \
         a checkpoint was changed since. It does not show that its holder is honest; an \
         independent copy of an earlier checkpoint and an independent review do.",
        "This page is a rendering, not itself signed. It supports the evaluation of backup and \
         recovery controls; it does not by itself satisfy any.",
    ],
    limit_no_controls: "Without controls it is not shown that the checks of this drill are able to \
                        fail.",
    limit_not_latest: "The newest recovery point was not the one rehearsed; data age is therefore \
                       not judged.",
    limit_upgrade: "Data was brought up on a newer major version than its own. That it comes back on its \
                    own is shown by other drills.",
    limit_in_part: "What could not be compared is not known to be equal, and the recovery point does not \
                    count as proven.",
    limit_incomplete: "The recovery point is incomplete: the items listed above cannot be recovered \
                       from it.",
    limit_foreign: "The recovery point was not made by lifeboat. There is no fingerprint from \
                    capture, so equality with the original could not be shown.",

    verify: "How to verify this without trusting us",
    verify_how: "You need the two files of the checkpoint from the store, any machine with OpenSSH \
                 8.1 or newer, and the fingerprint below from someone other than the sender of \
                 this page.",
    verify_fingerprint: "Compare this fingerprint with the one you were given by another way (on \
                         paper, by telephone, in the contract). If it differs, stop.",
    verify_signers: "Put this line into a file named allowed_signers:",
    verify_fetch: |place| format!("Fetch the checkpoint and its signature from {place}:"),
    verify_run: "Verify the signature:",
    verify_good: "The answer must begin with Good and name the fingerprint above.",
    verify_ledger: |seq, size| {
        format!(
            "The checkpoint fixes the first {size} records, among them this one, number {seq}. \
             Check the records themselves, and read this one:"
        )
    },
    verify_uncovered: "The newest signed checkpoint is older than this record and does not cover \
                       it. Ask for the report again once a newer one is signed.",
    verify_unsigned: "No checkpoint of this ledger has been signed yet: nothing of this page can be \
                      verified until then.",
    public_key: "Public key",

    glossary: "Words",
    terms: [
        ("Policy", "Declares what is protected, how often, and how fast it must come back."),
        ("Source", "One database or set of files that a policy names."),
        ("Snapshot", "What one run of a policy stored, as of one time."),
        ("Recovery point", "The snapshot that a drill restores."),
        ("Drill", "A rehearsed recovery: restore, check, measure, record."),
        ("Scratch environment", "A private place, without network, that is removed afterwards."),
        ("Check", "One assertion on the restored data."),
        ("Fingerprint", "Row counts and content digests by which two sides are compared."),
        ("Control", "A deliberate fault that a check must find."),
        ("Ledger", "The append-only, sealed list of everything that was due and happened."),
        ("Checkpoint", "A signed statement of the whole ledger up to one record."),
        ("RTO", "Recovery time objective: how fast the data must be back."),
        ("RPO", "Recovery point objective: how old the newest recoverable data may be."),
        ("Recovery time", "From the start until every source answered its first query."),
        ("Data age", "How old the recovered data was when the drill began."),
    ],
    footer: "The numbers on this page are the same in every language; the English terms govern.",
};
