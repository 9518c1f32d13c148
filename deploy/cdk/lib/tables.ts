// The tables, exactly as the program makes them (`crates/canvass-dynamodb/src/tables.rs`): it finds them by name.
import { CfnDeletionPolicy, aws_dynamodb as dynamodb } from "aws-cdk-lib";
import { Construct } from "constructs";

/** Polls, votes and counts. They outlive the stack. */
export interface Tables {
  readonly main: dynamodb.CfnTable;
  readonly votes: dynamodb.CfnTable;
  readonly tally: dynamodb.CfnTable;
}

export function makeTables(scope: Construct, prefix: string): Tables {
  return {
    votes: makeTable(scope, "VotesTable", `${prefix}-votes`, {
      streamSpecification: { streamViewType: "NEW_AND_OLD_IMAGES" },
    }),
    main: makeTable(scope, "PollsTable", `${prefix}-main`, {
      attributeDefinitions: [
        ...KEYS,
        { attributeName: "status", attributeType: "S" },
        { attributeName: "age", attributeType: "S" },
        { attributeName: "due-kind", attributeType: "S" },
        { attributeName: "due", attributeType: "N" },
      ],
      globalSecondaryIndexes: [
        index("by-status", "status", "age", "ALL"),
        index("by-due", "due-kind", "due", "KEYS_ONLY"),
      ],
    }),
    tally: makeTable(scope, "ResultsTable", `${prefix}-tally`, {}),
  };
}

const KEYS = [
  { attributeName: "pk", attributeType: "S" },
  { attributeName: "sk", attributeType: "S" },
];

function makeTable(scope: Construct, id: string, tableName: string, more: Partial<dynamodb.CfnTableProps>) {
  const table = new dynamodb.CfnTable(scope, id, {
    tableName,
    billingMode: "PAY_PER_REQUEST",
    attributeDefinitions: KEYS,
    keySchema: schema("pk", "sk"),
    pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
    sseSpecification: { sseEnabled: true },
    deletionProtectionEnabled: true,
    ...more,
  });
  // Neither a deleted stack nor a resource that is replaced takes a vote with it.
  table.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN;
  table.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
  return table;
}

function schema(partition: string, sort: string) {
  return [
    { attributeName: partition, keyType: "HASH" },
    { attributeName: sort, keyType: "RANGE" },
  ];
}

function index(indexName: string, partition: string, sort: string, projectionType: string) {
  return { indexName, keySchema: schema(partition, sort), projection: { projectionType } };
}
