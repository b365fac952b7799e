import { parseReason } from "./bodies.mjs";
import { parseDifference } from "./difference.mjs";
import { Reader } from "./reader.mjs";
import { demand, Refused } from "./refused.mjs";
import * as values from "./values.mjs";

const EPOCH = /^[0-9A-Za-z_-]{1,64}$/;

function progress(reader) {
  const version = reader.u32();
  const anchor = reader.u64();
  const packed = reader.u32();
  const remaining = reader.u32();
  demand((packed & 1) === 0, "reserved");
  const progress = {
    status: values.named(values.STATUSES, (packed >>> 15) & 7),
    percent: values.percent(packed >>> 18),
    anchor: values.moment(anchor),
    remaining: values.duration(remaining),
    quality: values.quality((packed >>> 8) & 127),
    target_quality: values.quality((packed >>> 1) & 127),
    failure_reason: null,
  };
  demand(progress.status !== "completed" || progress.percent === 100, "contradictory");
  return { record: "ProgressState", version, progress };
}

function reasonPart(reader) {
  const [version, total, offset] = [reader.u32(), reader.u16(), reader.u16()];
  const octets = reader.take(reader.u8());
  demand(octets.length > 0 && offset + octets.length <= total, "out_of_range");
  return { record: "ReasonPart", version, total, offset, octets };
}

function materialsPart(reader) {
  const [version, rows, problems, first] = [reader.u32(), reader.u16(), reader.u16(), reader.u16()];
  const materials = Array.from({ length: reader.u8() }, () => {
    const [material_id, quantity, quality] = [reader.uuid(), reader.u32(), reader.u8()];
    demand(quantity !== values.UNKNOWN, "out_of_range");
    return { material_id, quantity, quality: values.quality(quality), problem: null };
  });
  demand(problems <= rows && first + materials.length <= rows, "out_of_range");
  demand(materials.length > 0 || rows === 0, "out_of_range");
  return { record: "MaterialsPart", version, rows, problems, first, materials };
}

function problemsPart(reader) {
  const [version, first, length] = [reader.u32(), reader.u16(), reader.u8()];
  demand(length > 0, "out_of_range");
  const problems = Array.from({ length }, () => {
    const [row, problem, required, available] = [reader.u16(), reader.u8(), reader.u32(), reader.u32()];
    return {
      row,
      problem: values.named(values.PROBLEMS, problem),
      required_quantity: values.required(values.known(required)),
      available_quantity: values.known(available),
      required_quality: values.quality(reader.u8()),
      available_quality: values.quality(reader.u8()),
    };
  });
  demand(new Set(problems.map(({ row }) => row)).size === length, "contradictory");
  return { record: "ProblemsPart", version, first, problems };
}

function position(reader) {
  const version = reader.u64();
  const epoch = reader.take(reader.u8());
  demand(version <= BigInt(Number.MAX_SAFE_INTEGER), "out_of_range");
  demand(EPOCH.test(epoch.toString("latin1")), "out_of_range");
  return { record: "Position", epoch: epoch.toString("latin1"), version: Number(version) };
}

const PARSERS = {
  1: progress,
  2: reasonPart,
  3: materialsPart,
  4: problemsPart,
  5: parseDifference,
  6: (reader) => ({ record: "FreshSecret", secret: reader.take(32) }),
  7: (reader) => ({ record: "Selector", session: reader.u8() }),
  8: (reader) => ({ record: "SessionOver", reason: parseReason(reader) }),
  9: position,
};

/** The records of a STATE's body. Throws Refused when anything in it is wrong. */
export function parseRecords(body) {
  const reader = new Reader(body);
  const records = [];
  do {
    const tag = reader.u8();
    if (!(tag in PARSERS)) throw new Refused("type");
    records.push(PARSERS[tag](reader));
  } while (reader.left > 0);
  checkAgreement(records);
  return records;
}

/** What there is one of in a STATE, of each session; of a secret, in all. */
const ONE = new Set(["ProgressState", "MaterialsDelta", "FreshSecret", "SessionOver", "Position"]);

/** What the version of a record is that of: all the records of it in a STATE have the same. */
const SUBJECTS = {
  ProgressState: "progress",
  ReasonPart: "progress",
  MaterialsPart: "materials",
  ProblemsPart: "materials",
  MaterialsDelta: "materials",
};

/** All the records of a STATE are of one moment: what one says of a session, no other says otherwise. */
function checkAgreement(records) {
  const told = new Set();
  const versions = new Map();
  let session = 0;
  for (const { record, version, ...more } of records) {
    if (record === "Selector") session = more.session;
    const name = record === "FreshSecret" ? record : `${session} ${record}`;
    demand(!ONE.has(record) || !told.has(name), "contradictory");
    told.add(name);
    const subject = SUBJECTS[record] && `${session} ${SUBJECTS[record]}`;
    if (!subject) continue;
    demand(!versions.has(subject) || versions.get(subject) === version, "contradictory");
    versions.set(subject, version);
  }
}
