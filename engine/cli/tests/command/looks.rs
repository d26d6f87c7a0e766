//! Looks at results and decisions on them, over the lake of the demonstration.

use crate::harness::Sandbox;

/// A folder with the demonstration of 20,000 events in `demo`.
fn demo() -> Sandbox {
    let sandbox = Sandbox::new();
    let demo = sandbox.run(&["demo", "--events", "20000", "--seed", "7", "--dir", "demo"]);
    assert_eq!(demo.status, 0, "{}", demo.errors);
    sandbox
}

#[test]
fn a_query_that_tells_variants_apart_is_a_look_and_a_count_is_none() {
    let sandbox = demo();
    let ask = |query: &str| sandbox.run(&["sql", "--lake", "demo/lake", query]);
    let looks = || {
        let query =
            "select origin, experiment, metric, pair, n_control > 0 from looks where origin = 'sql' order by metric";
        sandbox
            .run(&["sql", "--lake", "demo/lake", "--format", "csv", query])
            .output
    };
    let header = "origin,experiment,metric,pair,looks.n_control > Int64(0)\n";
    let counted = ask("select variant, subjects from assignment_counts where experiment = 'one-click-checkout'");
    assert!(!counted.errors.contains("look"), "{}", counted.errors);
    assert_eq!(looks(), header);

    let looked = ask(
        "select variant, mean from metric_stats where experiment = 'one-click-checkout' and metric in ('click', 'purchase')",
    );
    assert!(
        looked.errors.contains("this was a look at 2 effects"),
        "{}",
        looked.errors
    );
    let of = |metric: &str| format!("sql,one-click-checkout,{metric},treatment vs control,true\n");
    assert_eq!(looks(), format!("{header}{}{}", of("click"), of("purchase")));
}

#[test]
fn a_report_says_what_may_be_concluded_and_is_a_look() {
    let sandbox = demo();
    let report = |experiment: &str| {
        let run = sandbox.run(&["report", experiment, "--lake", "demo/lake", "--format", "markdown"]);
        assert_eq!(run.status, 0, "{}", run.errors);
        run.output
    };
    let broken = report("search-ranking-v2");
    assert!(
        broken.contains("Broken: subjects are not split as allocated."),
        "{broken}"
    );
    assert!(broken.contains("| control | "), "{broken}");
    let early = report("pricing-page-layout");
    assert!(
        early.contains("click, treatment against control: no conclusion yet, "),
        "{early}"
    );
    assert!(early.contains("WARNING  peek.premature\\_significance"), "{early}");
    let real = report("one-click-checkout");
    assert!(
        real.contains("purchase, treatment against control: more, significant as planned"),
        "{real}"
    );
    assert!(real.contains("| demo | 1 |"), "{real}");
    let again = report("one-click-checkout");
    assert!(again.contains("| report | 1 |"), "{again}");

    let wrong = sandbox.run(&["report", "one-click", "--lake", "demo/lake"]);
    assert_eq!(wrong.status, 2);
    assert!(
        wrong
            .errors
            .starts_with("error: the lake knows no experiment one-click; it has "),
        "{}",
        wrong.errors
    );
}

#[test]
fn a_replay_raises_its_own_signals_and_does_not_repeat_those_of_the_lake() {
    let sandbox = demo();
    let sets = [
        "--set",
        "engine.sinks[0].options.url=again",
        "--set",
        "engine.deadLetter.options.path=again.ndjson",
    ];
    let mut arguments = vec!["replay", "--from", "demo/lake", "-c", "demo/config.yaml"];
    arguments.extend(sets);
    let replay = sandbox.run(&arguments);
    assert_eq!(replay.status, 0, "{}", replay.errors);
    let count = |lake: &str, what: &str| {
        let query = format!("select {what} from signals where signal = 'srm' and segment_of is null order by 1");
        let query = query.replace("segment_of", "json_text(data, 'segment')");
        sandbox.run(&["sql", "--lake", lake, "--format", "csv", &query]).output
    };
    let ids = "event_id, severity";
    assert_eq!(
        count("again", "count(*) as n"),
        count("again", "count(distinct event_id) as n")
    );
    assert!(count("demo/lake", ids).lines().count() > 1);
    assert_eq!(count("again", ids), count("demo/lake", ids));
    // the look of the demo is judged once more, from the ledger of the lake that is read
    let peeks = "select count(*) as n from signals where signal = 'peek.premature_significance'";
    let answer = sandbox
        .run(&["sql", "--lake", "again", "--format", "csv", peeks])
        .output;
    assert_eq!(answer, "n\n1\n");
}

#[test]
fn a_decision_is_recorded_for_an_experiment_that_there_is() {
    let sandbox = demo();
    let wrong = sandbox.run(&["decide", "one-click", "ship", "--lake", "demo/lake"]);
    assert_eq!(wrong.status, 2);
    assert!(
        wrong
            .errors
            .contains("the lake knows no experiment one-click; it has checkout-button-color, "),
        "{}",
        wrong.errors
    );
    let right = sandbox.run(&[
        "decide",
        "one-click-checkout",
        "ship",
        "--lake",
        "demo/lake",
        "--detail",
        "it works",
    ]);
    assert_eq!(
        (right.status, right.errors.as_str()),
        (0, "recorded: ship one-click-checkout\n")
    );
    let query = "select experiment, decision, detail from decisions";
    let rows = sandbox
        .run(&["sql", "--lake", "demo/lake", "--format", "csv", query])
        .output;
    assert_eq!(rows, "experiment,decision,detail\none-click-checkout,ship,it works\n");
}
