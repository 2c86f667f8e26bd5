//! 中文文案。

use super::texts::Texts;

pub(super) const TEXTS: Texts = Texts {
    tag: "zh-CN",
    units_of_time: ["毫秒", "秒", "分", "小时", "天"],
    title: "恢复演练报告",
    product: "由 lifeboat 根据已签名的台账生成",
    contradiction: "本次演练的明细与台账记录不一致。请勿采信本页内容，应先核验台账。",

    words: ["通过", "未通过", "无法判定"],
    passed: |point| {
        format!(
            "已将 {point} 的恢复点还原到隔离的演练环境，全部比对内容与备份采集时一致，\
             全部声明的校验项均成立。"
        )
    },
    passed_in_part: |point| {
        format!(
            "已将 {point} 的恢复点还原到隔离的演练环境，已比对的内容与备份采集时一致，\
             但未能全部比对：原因见“不适用”的分项。"
        )
    },
    is_upgrade: "本次为升级演练。",
    failed: |parts| format!("本次恢复未达到承诺的要求。未满足的分项：{parts}。"),
    undecided: |parts| format!("本次演练无法得出结论，不视为通过。未能判定的分项：{parts}。"),
    in_a_disaster: |recovery, age| {
        format!(
            "假如演练开始时全部数据丢失，在同等硬件条件下数据可在 {recovery} 后恢复，\
             最多丢失最近 {age} 内的变更。"
        )
    },
    separator: "、",

    parts: "演练结论及分项",
    part: "分项",
    meaning: "“是”表示",
    answer: "结果",
    reason: "原因",
    part_names: ["可恢复性", "数据完整性", "恢复时间达标", "数据时效达标", "环境清理"],
    part_meanings: [
        "存储对象齐全、真实、未被篡改；数据全部还原；各引擎均能在还原数据上启动。",
        "引擎自检无误，内容和结构与采集时一致，且业务方声明的校验项全部成立。",
        "恢复时间未超过恢复时间目标（RTO）。",
        "数据时效未超过恢复点目标（RPO）。",
        "演练环境无任何残留：没有进程，没有数据副本。",
    ],
    answers: ["是", "否", "未知", "不适用"],

    identity: "演练对象、时间与地点",
    fact: "项目",
    value: "内容",
    customer: "客户",
    policy: "备份策略",
    drill: "演练计划",
    no_drill: "未声明，按全部标准步骤执行",
    record: "台账记录",
    recorded_by: |name, host| format!("由 {name} 在主机 {host} 记录"),
    run: "运行编号",
    policy_digest: "策略版本（SHA-256）",
    details_digest: "演练明细（SHA-256）",
    slot: "计划时间",
    no_slot: "人工发起，不在计划之内",
    started: "开始时间",
    finished: "结束时间",
    point: "恢复点（快照）",
    comes_back: "可恢复的恢复点",
    would_lose: |time| format!("若恢复到该点，将丢失本次演练之前 {time}内的数据。"),
    none_comes_back: |tried| {
        format!("本次演练之后又演练了 {tried} 个较早恢复点，均未能证明可恢复。")
    },
    no_point: "未能选出恢复点",
    point_time: "快照时间",
    consistent_time: "数据状态时间",
    picked: "恢复点选取方式",
    picked_how: |pick, candidates| format!("{pick}，候选恢复点共 {candidates} 个"),
    campaign: "抽样演练",
    drawn_by: |campaign| format!("{campaign}；其对全部恢复点的结论见抽样演练报告"),
    complete: "备份完整程度",
    is_complete: "完整：所选项目均已保存",
    is_incomplete: "不完整：部分所选项目未能保存（见下文清单）",
    origin: "备份程序",
    made_by_lifeboat: "lifeboat，采集时已计算指纹",
    made_by_other: "其他程序，没有可供比对的指纹",
    store: "数据来源（存储）",
    scratch_host: "演练主机",
    hardware: |cores, memory| format!("{cores} 个处理器核心，内存 {memory}"),
    hardware_label: "硬件",
    storage: "演练存储",
    sandbox: "隔离措施",

    compared: "比对内容",
    compared_how: "备份采集时，已对所备份的同一状态计算指纹：逐表、逐路径记录行数或条目数以及内容\
                   摘要。演练时对还原后的数据作同样计算。“一致”表示两者完全相符。",
    nothing_compared: "没有还原并比对任何内容。",
    source_came_back: |entries, bytes| format!("已还原 {entries}，{bytes}"),
    captured_on: |host| format!("采集主机 {host}"),
    taken_from_replica: |host, lag| format!("取自副本 {host}，最多落后 {lag}"),
    taken_from_primary: |host| format!("取自 {host}（非副本）"),
    passed_over: |host, why| format!("{host} 不符合条件：{why}"),
    upgraded: |major| format!("升级演练：在主版本 {major} 上还原；不作为其原引擎的可恢复性证明"),
    retold: |objects| format!("新版本以不同文字表述，因此未比对：{objects}"),
    equality_not_required: |reason, why| {
        format!("未逐行比对数据，策略声明不要求：{reason}（{why}）")
    },
    as_of: |time| format!("数据状态时间 {time}"),
    table_or_path: "表或路径",
    captured: "采集时行数或条目数",
    restored: "还原后",
    equal: "内容",
    equals: ["一致", "不一致"],
    more_equal: |number| format!("另有 {number} 项，全部一致"),

    checks: "校验项",
    checks_held: |held, declared| {
        format!("检查共 {declared} 项（标准检查与演练声明的检查），成立 {held} 项。")
    },
    rung: "步骤",
    check: "校验内容",
    outcome: "结果",
    amount: "比对数量",
    took: "用时",
    expected: "预期",
    found: "实际",
    at_capture: "采集时",
    why_not_run: "未执行原因",
    places: |shown, total| format!("列出 {shown} 处，共 {total} 处："),
    outcomes: ["成立", "不成立", "未执行"],

    independent: "对同一恢复点的独立还原",
    independent_how: |by| {
        format!(
            "上述步骤完成后，又用 {by} 将同一快照还原一次，不经过 lifeboat 自身的读取程序，\
             并由各引擎自带的客户端装载到第二个演练服务器。下列语句在两处分别执行。\
             此步骤不计入恢复时间。"
        )
    },
    complained: "其已还原，但以错误结束：",
    by_lifeboat: "lifeboat 还原结果",
    by_others: "独立还原结果",

    time: "恢复时间与数据时效",
    recovery_time: "恢复时间",
    in_scratch: "演练环境实测",
    rto: "恢复时间目标（RTO）",
    data_age: "数据时效",
    data_age_how: "自最早一个数据源的状态时间起，至演练开始为止。",
    rpo: "恢复点目标（RPO）",
    undeclared: "未声明",
    unmeasured: "未测得",
    phase: "阶段",
    counts: "恢复时间",
    counted: ["计入", "单列，不计入"],
    bar_phases: "各阶段",
    bar_against: "对照 RTO",
    bar_caption: |total, hardware| format!("恢复时间 {total}，演练环境实测：{hardware}"),
    bar_described: |phases, total, objective| match objective {
        Some(objective) => {
            format!("各阶段恢复时间：{phases}。合计 {total}；目标 {objective}。")
        }
        None => format!("各阶段恢复时间：{phases}。合计 {total}；未声明目标。"),
    },

    controls: "对照试验：校验项能否发现问题",
    controls_how: "校验结束后，在演练副本上故意制造故障。每个故障都必须由对应的校验项在对应的位置发现。",
    controls_found: |found, run| format!("发现 {found} 个，试验共 {run} 个。"),
    no_controls: "本次演练未进行对照试验。",
    fault: "故障",
    injured: "故障位置",
    expected_check: "应发现故障的校验项",
    said: "校验项的报告",
    control_results: ["已发现", "未发现", "未执行"],
    found_there: "已在该处发现",

    skipped: "恢复点未包含的项目",
    skipped_how: "以下项目在策略范围之内，但采集时无法读取。",
    nothing_skipped: "所选项目没有遗漏。",
    beside: "恢复点之外的损坏",
    beside_how: "以下内容在读取恢复点时发现已损坏。本次演练没有恢复这些内容，其结论也不涉及它们。",
    object: "项目",
    what: "问题",

    not_covered: "未覆盖的内容",
    not_covered_how: "以下内容属于数据源，但不在恢复点之内。本报告不能说明其可以恢复。",
    all_covered: "采集时未发现恢复点未覆盖的内容。",
    source: "数据源",
    names: "名称",
    and_more: |number| format!("另有 {number} 项"),

    history: "该策略以往的演练",
    history_how: "由近及远，最多列出十次。",
    when: "开始时间",
    verdict: "演练结论",

    limits: "本报告不能说明的事项",
    limits_always: [
        "本报告仅针对当日的这一个恢复点。其他恢复点及以后的恢复点，须由各自的演练来证明。",
        "恢复时间在演练环境中测得。发现故障、决策、调配硬件、网络切换以及应用启动所需的时间未计算在内。",
        "采集时数据中已经存在的错误，在两侧是相同的，比对无法发现。",
        "仅备份并演练了策略中列明的内容。应用本身未启动，域名、证书、登录及外部服务均未测试。",
        "若源系统已被攻陷，则可能提供虚假数据，演练无法察觉。",
        "签名说明该记录由密钥持有人写入，且检查点之前的内容此后未被改动；并不说明持有人诚实。\
         后者需要由第三方留存的早期检查点和独立的复核来支持。",
        "本页是台账内容的呈现，自身未经签名。本报告可为备份与恢复控制措施的测评提供支持，但不能单独\
         构成对任何要求的符合。",
    ],
    limit_no_controls: "未进行对照试验，因此未能证明本次演练的校验项具备发现问题的能力。",
    limit_not_latest: "演练的不是最新恢复点，因此不对数据时效作出评价。",
    limit_upgrade: "数据在比原引擎更新的主版本上还原；能否在原引擎上恢复由其他演练证明。",
    limit_in_part: "未能比对的内容不能视为一致，该恢复点不作为已证明的恢复点。",
    limit_incomplete: "该恢复点不完整：上文所列项目无法由其恢复。",
    limit_foreign: "该恢复点不是由 lifeboat 生成，没有采集时的指纹，无法证明与原始数据一致。",

    verify: "如何独立核验",
    verify_how: "需要：存储中的两个检查点文件、任意一台装有 OpenSSH 8.1 或更高版本的计算机，以及由\
                 本页发送方以外的渠道提供的下列密钥指纹。",
    verify_fingerprint: "将此指纹与通过其他渠道（书面、电话、合同）获得的指纹比对。如不相同，请停止。",
    verify_signers: "将下面一行存入名为 allowed_signers 的文件：",
    verify_fetch: |place| format!("从 {place} 取得检查点及其签名："),
    verify_run: "验证签名：",
    verify_good: "输出必须以 Good 开头，并包含上述指纹。",
    verify_ledger: |seq, size| {
        format!(
            "该检查点固定了前 {size} 条记录，本记录（第 {seq} 条）在其中。核验各条记录，并查看本记录："
        )
    },
    verify_uncovered: "最新的已签名检查点早于本记录，未覆盖本记录。请在新的检查点签名后重新索取本报告。",
    verify_unsigned: "该台账尚无已签名的检查点；在此之前，本页内容无法核验。",
    public_key: "公钥",

    glossary: "术语",
    terms: [
        ("备份策略", "声明保护哪些数据、多久备份一次、必须多快恢复。"),
        ("数据源", "策略中列明的一个数据库或一组文件。"),
        ("快照", "策略一次运行所保存的、某一时刻的数据。"),
        ("恢复点", "演练所还原的快照。"),
        ("恢复演练", "预演一次恢复：还原、校验、计时、记录。"),
        ("演练环境", "没有网络的专用环境，演练结束后清除。"),
        ("校验项", "对还原数据的一项断言。"),
        ("指纹", "用于两侧比对的行数和内容摘要。"),
        ("对照试验", "故意制造、必须由校验项发现的故障。"),
        ("台账", "只能追加的加密清单，记录一切应做和已做的事项。"),
        ("检查点", "对截至某条记录的整个台账的签名声明。"),
        ("RTO", "恢复时间目标：数据必须在多长时间内恢复。"),
        ("RPO", "恢复点目标：可恢复的最新数据允许有多旧。"),
        ("恢复时间", "自开始起，至每个数据源应答首次查询为止。"),
        ("数据时效", "演练开始时，所恢复的数据有多旧。"),
    ],
    footer: "本页数字在各语言版本中相同；术语以英文为准。",
};
