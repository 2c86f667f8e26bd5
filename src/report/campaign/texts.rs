//! What is said of campaigns, in both languages.

pub(in crate::report) struct Texts {
    pub sentence: fn(drawn: &str, failed: &str, shown: &str) -> String,
    pub drawn: fn(drawn: &str, population: &str) -> String,
    pub all_drawn: fn(population: &str) -> String,
    pub none_failed: &'static str,
    pub failed: fn(number: &str) -> String,
    pub at_least: fn(number: &str, population: &str, percent: &str, confidence: &str) -> String,
    pub counted: fn(number: &str, population: &str) -> String,
    pub not_completed: fn(inconclusive: &str) -> String,
    pub no_population: &'static str,
    pub aborted: fn(reason: &str) -> String,
    pub open: &'static str,

    pub title: &'static str,
    /// Where it did not end by itself: aborted, open.
    pub unended: [&'static str; 2],
    pub contradicted: &'static str,
    pub seed_from: fn(from: &str) -> String,
    pub operator_chosen: &'static str,
    pub figures: &'static str,
    pub population: &'static str,
    pub drawn_figure: &'static str,
    pub passed: &'static str,
    pub failed_open: fn(failed: &str, inconclusive: &str) -> String,
    pub restorable: &'static str,
    pub nothing: &'static str,
    pub confidence: fn(percent: &str, confidence: &str) -> String,
    pub census: &'static str,

    pub identity: &'static str,
    pub drawn_at: &'static str,
    pub ended_at: &'static str,
    pub population_digest: &'static str,
    pub population_list: &'static str,
    pub wanted: &'static str,
    pub wanted_how: fn(wanted: &str, drawn: &str) -> String,
    pub seed: &'static str,
    pub seed_origin: &'static str,

    pub draws: &'static str,
    pub draws_how: &'static str,
    pub no_draws: &'static str,
    pub not_drilled: &'static str,

    pub earlier: &'static str,
    pub no_earlier: &'static str,
    pub some_earlier: fn(begun: &str, completed: &str) -> String,
    pub stated: &'static str,
    pub same_population: &'static str,

    pub again: &'static str,
    pub again_how: &'static str,

    pub limits: [&'static str; 6],
    pub limit_operator: &'static str,
    pub limit_outside: &'static str,
}

pub(in crate::report) const EN: Texts = Texts {
    sentence: |drawn, failed, shown| format!("{drawn}, {failed}: {shown}"),
    drawn: |drawn, population| format!("{drawn} of {population} recovery points drawn"),
    all_drawn: |population| format!("all {population} recovery points drilled"),
    none_failed: "none failed",
    failed: |number| format!("{number} failed"),
    at_least: |number, population, percent, confidence| {
        format!(
            "at least {number} of {population} ({percent}) restorable with {confidence} % confidence"
        )
    },
    counted: |number, population| {
        format!("{number} of {population} restorable, counted, not inferred")
    },
    not_completed: |inconclusive| {
        format!("not completed, for {inconclusive} could not be decided; nothing is stated")
    },
    no_population: "the policy has no recovery point: nothing was drawn, nothing is stated",
    aborted: |reason| format!("aborted ({reason}): nothing is stated"),
    open: "not over, or its process died: nothing is stated",

    title: "Sampling campaign report",
    unended: ["Aborted", "Not over"],
    contradicted: "The ledger contradicts this campaign. Do not rely on this page:",
    seed_from: |from| {
        format!("The draw follows from a seed that, by the record, came from outside: {from}.")
    },
    operator_chosen: "Operator-chosen: lifeboat drew the seed itself, and nothing shows that whoever ran it did not \
                      try others before this one was written down.",
    figures: "In figures",
    population: "Recovery points there were",
    drawn_figure: "Drawn and drilled",
    passed: "Passed",
    failed_open: |failed, inconclusive| format!("{failed} failed, {inconclusive} inconclusive"),
    restorable: "Restorable, at least",
    nothing: "nothing is stated",
    confidence: |percent, confidence| format!("{percent}, with {confidence} % confidence"),
    census: "all were drilled: counted, not inferred",

    identity: "What was drawn from what",
    drawn_at: "Drawn, before any was restored",
    ended_at: "Ended",
    population_digest: "Population (SHA-256 of the sorted ids)",
    population_list: "List of the population (SHA-256)",
    wanted: "To be drawn",
    wanted_how: |wanted, drawn| format!("{wanted} declared, {drawn} drawn"),
    seed: "Seed",
    seed_origin: "Where the seed came from",

    draws: "The draws and their drills",
    draws_how: "In the order of the draw. Each has a report of its own, by its record's number.",
    no_draws: "Nothing was drawn.",
    not_drilled: "not drilled",

    earlier: "Campaigns of this drill before this one",
    no_earlier: "None was begun before.",
    some_earlier: |begun, completed| {
        format!(
            "Begun before: {begun}, of these completed: {completed}. Whoever draws until it passes is seen here. \
             The newest are listed, at most ten."
        )
    },
    stated: "What it states",
    same_population: "It drew from the very same recovery points.",

    again: "How to draw again",
    again_how: "The first command prints the record with its seed and, below its details, the ids of the \
                population: one to a line they are the file ids. The others need stock tools alone, and print \
                what was drawn.",

    limits: [
        "The statement is about the recovery points that existed when they were drawn. Later ones are not among \
         them.",
        "Of twenty campaigns that are run so, one may say too much. That is what the confidence means.",
        "Recovery points share what did not change between them: one lost object can break many. What was \
         there on the day of the drills can be lost the day after.",
        "A draw counts as good where its drill passed. What such a drill does not show stands on its own page.",
        "Points that were missing or damaged count as failed; a draw that could not be decided leaves the campaign \
         without a statement.",
        "This page is a rendering, not itself signed. It supports the evaluation of backup and recovery \
         controls; it does not by itself satisfy any.",
    ],
    limit_operator: "The seed was drawn on the operator's own machine. Who knew which recovery points are bad could \
                     have tried seeds until none of these was drawn. Only a seed from outside rules that out.",
    limit_outside: "Where the seed came from is told in the operator's words. Compare it with what was handed over, \
                    and when: a seed that was known before the population was fixed leaves room to add recovery \
                    points until the draw pleases.",
};

pub(in crate::report) const ZH: Texts = Texts {
    sentence: |drawn, failed, shown| format!("{drawn}，{failed}：{shown}"),
    drawn: |drawn, population| format!("从 {population} 个恢复点中随机抽取 {drawn} 个"),
    all_drawn: |population| format!("对全部 {population} 个恢复点逐一演练"),
    none_failed: "无一失败",
    failed: |number| format!("{number} 个失败"),
    at_least: |number, population, percent, confidence| {
        format!("以 {confidence} % 的置信度，{population} 个中至少 {number} 个（{percent}）可恢复")
    },
    counted: |number, population| {
        format!("{population} 个中 {number} 个可恢复（逐一清点，非推断）")
    },
    not_completed: |inconclusive| format!("有 {inconclusive} 个无法判定，抽样未完成，不作任何陈述"),
    no_population: "该策略没有恢复点：未抽取任何样本，不作任何陈述",
    aborted: |reason| format!("已中止（{reason}）：不作任何陈述"),
    open: "尚未结束，或其进程已终止：不作任何陈述",

    title: "抽样演练报告",
    unended: ["已中止", "未结束"],
    contradicted: "台账与本次抽样相矛盾。请勿采信本页内容：",
    seed_from: |from| format!("抽样由种子确定；按记录，种子来自外部：{from}。"),
    operator_chosen: "种子由运维方自选：由 lifeboat 自行生成，无法证明运行者在写入记录之前未曾试用其他种子。",
    figures: "数字概览",
    population: "当时的恢复点总数",
    drawn_figure: "抽取并演练",
    passed: "通过",
    failed_open: |failed, inconclusive| format!("{failed} 个失败，{inconclusive} 个无法判定"),
    restorable: "至少可恢复",
    nothing: "不作陈述",
    confidence: |percent, confidence| format!("{percent}，置信度 {confidence} %"),
    census: "全部演练：逐一清点，非推断",

    identity: "抽样对象与依据",
    drawn_at: "抽取时间（早于任何还原）",
    ended_at: "结束时间",
    population_digest: "总体（排序后编号的 SHA-256）",
    population_list: "总体清单（SHA-256）",
    wanted: "抽取数量",
    wanted_how: |wanted, drawn| format!("声明 {wanted} 个，抽取 {drawn} 个"),
    seed: "种子",
    seed_origin: "种子来源",

    draws: "抽取的恢复点及其演练",
    draws_how: "按抽取顺序列出。每个恢复点另有演练报告，以其台账记录号查阅。",
    no_draws: "未抽取任何恢复点。",
    not_drilled: "未演练",

    earlier: "该演练计划此前的抽样",
    no_earlier: "此前没有开始过抽样。",
    some_earlier: |begun, completed| {
        format!(
            "此前开始 {begun} 次，其中完成 {completed} 次。反复抽取直到通过的做法在此可见。仅列出最近的，最多十次。"
        )
    },
    stated: "其陈述",
    same_population: "其抽样总体与本次完全相同。",

    again: "如何重新抽取以核对",
    again_how: "第一条命令显示记录及其种子，并在明细中列出总体的全部编号：每行一个，存为文件 ids。其余命令只需\
                系统自带工具，输出即为所抽取的编号。",

    limits: [
        "结论仅针对抽取时已存在的恢复点，不包括此后产生的恢复点。",
        "照此进行的抽样，每二十次中可能有一次结论偏高，这就是置信度的含义。",
        "各恢复点共用未变化的数据：丢失一个对象可能损坏多个恢复点。演练当日存在的数据，次日仍可能丢失。",
        "演练通过的恢复点计为可恢复。该演练不能说明的事项，见其各自的报告。",
        "缺失或损坏的恢复点计为失败；只要有一个无法判定，本次抽样即不作陈述。",
        "本页是台账内容的呈现，自身未经签名。本报告可为备份与恢复控制措施的测评提供支持，但不能单独构成\
         对任何要求的符合。",
    ],
    limit_operator: "种子在运维方自己的机器上生成。若事先知道哪些恢复点已损坏，可以反复试用种子，直到不抽中它们。\
                     只有来自外部的种子才能排除这种可能。",
    limit_outside: "种子来源由运维方自行陈述。请与实际交付的内容及时间核对：若种子在总体确定之前已为人所知，\
                    则可能通过增加恢复点来左右抽样结果。",
};
