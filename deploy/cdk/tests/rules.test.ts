// Each rule holds for the template, and fails for the same defect as the documents have it, told in a few lines.
import assert from "node:assert/strict";
import { test } from "node:test";
import * as rules from "./rules";
import { described, made } from "./made";

const KNOWN: rules.Known = {
  namespace: "VotingSystem",
  metrics: { VoteCount: ["PollId=lunch"] },
  archives: { api: ["GET /votes", "POST /votes", "GET /results", "POST /v1/polls"], tally: [], export: [] },
};

/** Checks that a rule finds nothing in our template, and finds just this in a few resources with the defect. */
function check(name: keyof typeof rules, defective: Record<string, unknown>, expected: string[]): void {
  const rule = rules[name] as rules.Rule;
  test(name, (context) => {
    const Resources = Object.fromEntries(Object.entries(defective).map(([id, resource]) => [id, resource as rules.Resource]));
    assert.deepEqual(rule({ Resources }, KNOWN), expected);
    if (name === "alarmsLookAtWhatIsWritten" && described === undefined) {
      return context.skip("deploy/functions.json is not there");
    }
    assert.deepEqual(rule(made.template, made.known), []);
  });
}

const stream = (Properties: object) => ({ Type: "AWS::Lambda::EventSourceMapping", Properties });
const stage = (Properties: object, more: object = {}) => ({ Type: "AWS::ApiGateway::Stage", Properties, ...more });
const alarm = (Properties: object) => ({ Type: "AWS::CloudWatch::Alarm", Properties });
const lambda = (Properties: object) => ({ Type: "AWS::Lambda::Function", Properties });
const archive = (name: string) => lambda({ Runtime: "provided.al2023", Handler: "bootstrap", Code: { S3Key: `canvass/${name}.zip` } });
const table = (Properties: object) => ({ Type: "AWS::DynamoDB::Table", Properties });
const resource = (PathPart: string) => ({ Type: "AWS::ApiGateway::Resource", Properties: { PathPart, ParentId: { "Fn::GetAtt": ["Api", "RootResourceId"] } } });
const method = (HttpMethod: string, of: string, to: string) => ({
  Type: "AWS::ApiGateway::Method",
  Properties: { HttpMethod, ResourceId: { Ref: of }, Integration: { Uri: { "Fn::Sub": `arn:aws:apigateway:\${AWS::Region}:lambda:path/functions/\${${to}.Arn}/invocations` } } },
});
const role = (Statement: object[]) => ({
  Type: "AWS::IAM::Role",
  Properties: { Policies: [{ PolicyDocument: { Statement } }] },
});

// Document A: results are asked of the function that counts. Both: no route makes a poll.
check("routesAreServed", {
  Votes: resource("votes"),
  PostVote: method("POST", "Votes", "Voting"),
  GetVote: method("GET", "Votes", "Voting"),
  Results: resource("results"),
  GetResults: method("GET", "Results", "Counting"),
  Voting: archive("api"),
  Counting: archive("tally"),
}, ["GetResults: Counting does not answer it", "nothing leads to POST /v1/polls"]);

// Document A: three tries, then nothing.
check("failuresAreKept", {
  Nowhere: stream({ MaximumRetryAttempts: 3 }),
  Unseen: stream({ DestinationConfig: { OnFailure: { Destination: { "Fn::GetAtt": ["Queue", "Arn"] } } } }),
  Queue: { Type: "AWS::SQS::Queue" },
}, ["Nowhere: records that keep failing are dropped", "Unseen: no alarm looks at Queue"]);

// Document A: the stream from its latest record on.
check("streamsAreReadWhole", {
  Latest: stream({
    StartingPosition: "LATEST",
    BatchSize: 100,
    BisectBatchOnFunctionError: true,
    MaximumRetryAttempts: 3,
  }),
}, [
  "Latest: the first votes can be missed",
  "Latest: a shard's records are folded side by side",
  "Latest: good records behind a bad one grow too old",
  "Latest: its events do not name the shard",
  "Latest: cannot report one record",
]);

// Document A: a snapshot when fifty votes come at once.
check("exportsRunByTheClock", { Exporting: archive("export") }, ["no schedule calls the function that exports"]);

// Document B: keys of idempotency are forgotten after a day, in a table of their own.
check("nothingExpires", {
  Idempotency: table({ TimeToLiveSpecification: { AttributeName: "ttl", Enabled: true } }),
}, ["Idempotency: its items are deleted after a time"]);

// Document B: an id made of the voter, the option and the time.
check("votesAreKeyedByVoter", {
  Votes: table({ StreamSpecification: { StreamViewType: "NEW_AND_OLD_IMAGES" }, KeySchema: [{ AttributeName: "voteId", KeyType: "HASH" }] }),
}, ["Votes: keyed by voteId alone"]);

// Document B: the votes are watched, by their errors alone, and the exports are not.
check("functionsAreWatched", {
  Voting: archive("api"),
  Errors: alarm({ Namespace: "AWS/Lambda", MetricName: "Errors", Dimensions: [{ Name: "FunctionName", Value: { Ref: "Voting" } }] }),
}, ["Voting: no alarm looks at its Throttles", "Voting: no alarm looks at its Duration"]);

// Both documents: bodies in the execution log. The second is what many tutorials show.
check("logsHoldNoVoters", {
  Traced: stage({ MethodSettings: [{ LoggingLevel: "INFO", DataTraceEnabled: true }] }),
  Told: stage({ AccessLogSetting: { Format: '{"ip":"$context.identity.sourceIp","path":"$context.path"}' } }),
}, ["Traced: logs bodies", "Traced: logs paths", "Told: logs identity", "Told: logs path"]);

// Document A: RemovalPolicy.DESTROY, and document B: no word about it.
check("votesOutliveTheStack", {
  Votes: {
    Type: "AWS::DynamoDB::Table",
    DeletionPolicy: "Delete",
    Properties: { PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true } },
  },
  Polls: { Type: "AWS::DynamoDB::Table", Properties: { BillingMode: "PAY_PER_REQUEST" } },
  Results: { Type: "AWS::S3::Bucket", Properties: {} },
}, [
  "Votes: is deleted with the stack",
  "Votes: can be deleted by mistake",
  "Polls: is deleted with the stack",
  "Polls: can be deleted by mistake",
  "Polls: cannot be restored to a moment",
  "Results: is deleted with the stack",
]);

// Document A: alarms without actions; a topic that nobody has subscribed to is no better.
check("alarmsNotify", {
  Silent: alarm({ Namespace: "AWS/Lambda", MetricName: "Errors" }),
  Unheard: alarm({ Namespace: "AWS/Lambda", MetricName: "Errors", AlarmActions: [{ Ref: "Topic" }] }),
  Topic: { Type: "AWS::SNS::Topic", Properties: {} },
}, ["Silent: notifies nobody", "Unheard: notifies nobody"]);

// Document A: Node for code in Python, from folders that do not exist.
check("codeFitsItsRuntime", {
  Python: lambda({ Runtime: "nodejs18.x", Handler: "index.handler", Code: { S3Key: "auto-response.zip" } }),
  Elsewhere: lambda({ Runtime: "provided.al2023", Handler: "bootstrap", Code: { S3Key: "sentiment.zip" } }),
}, ["Python: not the programs' runtime", "Elsewhere: no such archive"]);

// Document B: a cache with TLS, and a client that is given its host and port.
check("cachesAreSpokenToByTls", {
  Cache: { Type: "AWS::ElastiCache::ReplicationGroup", Properties: { TransitEncryptionEnabled: true } },
  Clear: { Type: "AWS::ElastiCache::ReplicationGroup", Properties: {} },
  Voting: lambda({
    Environment: { Variables: { REDIS_ENDPOINT: { "Fn::GetAtt": ["Cache", "PrimaryEndPoint.Address"] }, REDIS_PORT: "6379" } },
  }),
}, ["Clear: speaks without TLS", "Voting: REDIS_ENDPOINT says nothing of TLS"]);

// Document B: two private subnets, no route table, no endpoint.
check("subnetsReachDynamoDb", {
  Subnet1: { Type: "AWS::EC2::Subnet", Properties: {} },
  Voting: lambda({ VpcConfig: { SubnetIds: [{ Ref: "Subnet1" }] } }),
}, ["Voting: no way from Subnet1 to DynamoDB"]);

// Document B: a stage's throttle that is none, and a log that the account does not allow.
check("stagesAreSetUp", {
  Stage: stage({
    ThrottleSettings: { RateLimit: 100, BurstLimit: 200 },
    MethodSettings: [{ ResourcePath: "/*", HttpMethod: "*", LoggingLevel: "INFO" }],
  }),
}, [
  "Stage: ThrottleSettings is no property of a stage",
  "Stage: is not throttled",
  "Stage: logs without the account's role",
]);

// Document B: one role for every function, and figures to any namespace.
check("rolesAreNarrow", {
  Voting: lambda({ Role: { "Fn::GetAtt": ["Role", "Arn"] } }),
  Exporting: lambda({ Role: { "Fn::GetAtt": "Role.Arn" } }),
  Role: role([
    { Effect: "Allow", Action: ["cloudwatch:PutMetricData"], Resource: "*" },
    { Effect: "Allow", Action: "dynamodb:*", Resource: { "Fn::GetAtt": ["Table", "Arn"] } },
  ]),
}, [
  "Role: serves Voting, Exporting",
  "Role: may cloudwatch:PutMetricData on everything",
  "Role: may dynamodb:*",
]);

// Document B: votes are written by poll, and looked at without it.
check("alarmsLookAtWhatIsWritten", {
  Volume: alarm({ Namespace: "VotingSystem", MetricName: "VoteCount" }),
  Unknown: alarm({ Namespace: "VotingSystem", MetricName: "Votes" }),
  Fine: alarm({ Namespace: "VotingSystem", MetricName: "VoteCount", Dimensions: [{ Name: "PollId", Value: "lunch" }] }),
}, ["Volume: VoteCount is not written by []", "Unknown: nobody writes VotingSystem Votes"]);

// Document B: a manifest that nobody writes, a date where only texts may be, and no dashboard.
check("dashboardsShowWhatIsThere", {
  DataSet: {
    Type: "AWS::QuickSight::DataSet",
    Properties: {
      PhysicalTableMap: {
        VotingData: { S3Source: { InputColumns: [{ Name: "voteId", Type: "STRING" }, { Name: "timestamp", Type: "DATETIME" }] } },
      },
    },
  },
}, [
  "DataSet: no dashboard shows it",
  "DataSet: timestamp of a file can only be a text",
  "DataSet: its manifest is no part of the template",
]);
