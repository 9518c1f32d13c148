// The template: that it is the one in the repository, that the tables are as the program makes them, and what each
// choice adds. The construct is tested as others use it, without conditions.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { App, Stack } from "aws-cdk-lib";
import { Match, Template } from "aws-cdk-lib/assertions";
import { COLUMNS, CSV_COLUMNS, newestVotes } from "../lib/analytics";
import { Canvass, type CanvassProps } from "../lib";
import { made } from "./made";
import { of, references } from "./rules";

const ROOT = join(__dirname, "../../..");
const template = Template.fromJSON(made.template as any);

test("the template in the repository is what the app makes", () => {
  assert.equal(made.kept, made.text, "deploy/canvass.template.json is stale: npm run template");
});

test("it can be deployed alone, under any name", () => {
  assert.doesNotMatch(JSON.stringify(made.template.Outputs), /name=Canvass/);
  assert.doesNotMatch(made.text, /cdk-hnb659fds|BootstrapVersion|AssetParameters/);
  assert.doesNotMatch(made.text, /Custom::/);
  assert.ok(made.text.length < 1_000_000, "CloudFormation takes a megabyte");
  assert.ok(Object.keys(made.template.Resources).length <= 500, "CloudFormation takes 500 resources");
});

test("cfn-lint finds nothing", (context) => {
  const program = process.env.CANVASS_CFN_LINT;
  if (!program) return context.skip("CANVASS_CFN_LINT names no cfn-lint; `cargo xtask deployment` sets it up");
  const found = spawnSync(program, [join(ROOT, "deploy/canvass.template.json")], { encoding: "utf8" });
  assert.equal(`${found.stdout}${found.stderr}`, "");
  assert.equal(found.status, 0);
});

/** The documents' names, and those that came to them. */
test("parameters and outputs keep the documents' names", () => {
  assert.deepEqual(Object.keys(made.template.Parameters).sort(), [
    "AlertEmail",
    "ApiKeyBurstLimit",
    "ApiKeyDailyQuota",
    "ApiKeyRateLimit",
    "ApiKeyRequired",
    "ApiThrottleBurstLimit",
    "ApiThrottleRateLimit",
    "CertificateArn",
    "CloudFront",
    "DailyVoteTarget",
    "DomainName",
    "ElastiCacheNodeType",
    "Environment",
    "EraseAfterDays",
    "ExportSchedule",
    "FunctionsArchitecture",
    "FunctionsBucket",
    "FunctionsPrefix",
    "ImplicitPolls",
    "ManageApiGatewayAccount",
    "MonthlyBudget",
    "QuickSightUserArn",
    "Redis",
    "WafRateLimit",
  ]);
  const grouped = made.template.Metadata["AWS::CloudFormation::Interface"].ParameterGroups.flatMap((group: any) => group.Parameters);
  assert.deepEqual(grouped.sort(), Object.keys(made.template.Parameters).sort());
  for (const name of ["ApiEndpoint", "ApiKeyId", "VotesTableName", "ResultsTableName", "SnapshotBucketName", "PollsTableName", "ResultsBucketName", "ElastiCacheEndpoint", "VoteProcessorFunctionArn"]) {
    assert.ok(name in made.template.Outputs, name);
  }
});

test("the documentation and the pipeline name parameters and outputs that are there", () => {
  const texts = ["docs/aws.md", ".github/workflows/deploy.yml"].map((path) => readFileSync(join(ROOT, path), "utf8"));
  const deployments = texts.flatMap((text) => [...text.matchAll(/--parameter-overrides((?:\\\n|.)*)/g)].map((match) => match[1]!));
  assert.equal(deployments.length, 2);
  const needed = Object.entries<any>(made.template.Parameters).filter(([, parameter]) => !("Default" in parameter));
  for (const deployment of deployments) {
    const given = [...deployment.matchAll(/\b([A-Z]\w+)=/g)].map((match) => match[1]!);
    assert.deepEqual(given.filter((name) => !(name in made.template.Parameters)), []);
    assert.deepEqual(needed.map(([name]) => name).filter((name) => !given.includes(name)), [], "needed, and not given");
  }
  const asked = texts.flatMap((text) => [...text.matchAll(/(?<!-)\boutput "?(\w+)"?\)|OutputKey==`(\w+)`/g)].map((match) => match[1] ?? match[2]!));
  assert.ok(asked.length >= 3, `${asked}`);
  const described = texts[0]!.slice(texts[0]!.indexOf("## Parameters"));
  for (const name of Object.keys(made.template.Parameters)) assert.ok(described.includes(`\`${name}\``), `${name} is not documented`);
  for (const name of Object.keys(made.template.Outputs)) assert.ok(described.includes(`\`${name}\``), `${name} is not documented`);
  assert.deepEqual(asked.filter((name) => !(name in made.template.Outputs)), []);
});

test("the tables are as the program makes them", () => {
  const source = readFileSync(join(ROOT, "crates/canvass-dynamodb/src/tables.rs"), "utf8");
  const suffixes = [...source.matchAll(/format!\("\{prefix\}-(\w+)"\)/g)].map((match) => match[1]);
  const tables = of(made.template, "AWS::DynamoDB::Table").map(([, table]) => table.Properties);
  const name = (suffix: string) => ({ "Fn::Join": ["", [{ Ref: "AWS::StackName" }, `-${suffix}`]] });
  assert.deepEqual(tables.map((table) => JSON.stringify(table.TableName)).sort(), suffixes.map((suffix) => JSON.stringify(name(suffix!))).sort());
  for (const table of tables) {
    assert.deepEqual(table.KeySchema, [{ AttributeName: "pk", KeyType: "HASH" }, { AttributeName: "sk", KeyType: "RANGE" }]);
    assert.equal(table.BillingMode, "PAY_PER_REQUEST");
    assert.deepEqual(table.SSESpecification, { SSEEnabled: true });
  }
  const indexes = [...source.matchAll(/index\(BY_\w+, "([\w-]+)", "([\w-]+)", ProjectionType::(\w+)\)/g)].map(
    ([, partition, sort, projection]) => [partition, sort, projection === "All" ? "ALL" : "KEYS_ONLY"]);
  assert.equal(indexes.length, 2);
  const main = tables.find((table) => table.GlobalSecondaryIndexes)!;
  assert.deepEqual(
    main.GlobalSecondaryIndexes.map((index: any) => [...index.KeySchema.map((key: any) => key.AttributeName), index.Projection.ProjectionType]),
    indexes,
  );
  assert.deepEqual(
    main.GlobalSecondaryIndexes.map((index: any) => index.IndexName),
    [...source.matchAll(/const BY_\w+: &str = "([\w-]+)"/g)].map((match) => match[1]),
  );
  template.resourcePropertiesCountIs("AWS::DynamoDB::Table", { StreamSpecification: { StreamViewType: "NEW_AND_OLD_IMAGES" } }, 1);
});

// An update finds them by these names, and leaves them when they or the stack go.
test("what holds votes and keys keeps its name and outlives the stack", () => {
  const kept = Object.entries<any>(made.template.Resources).filter(([, { DeletionPolicy }]) => DeletionPolicy === "Retain");
  assert.deepEqual(kept.map(([name]) => name).sort(), [
    "AdminKey",
    "ApiLoggingAccount",
    "ApiLoggingRole",
    "PollsTable",
    "ResultsBucket",
    "ResultsBucketPolicy",
    "ResultsLogsBucket",
    "ResultsLogsBucketPolicy",
    "ResultsTable",
    "VotesTable",
  ]);
  assert.deepEqual(kept.filter(([, { UpdateReplacePolicy }]) => UpdateReplacePolicy !== "Retain"), []);
});

test("buckets are private, encrypted, versioned and reached by TLS alone", () => {
  template.resourceCountIs("AWS::S3::Bucket", 2);
  template.allResourcesProperties("AWS::S3::Bucket", {
    VersioningConfiguration: { Status: "Enabled" },
    PublicAccessBlockConfiguration: { BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true },
  });
  template.resourcePropertiesCountIs(
    "AWS::S3::BucketPolicy",
    { PolicyDocument: { Statement: Match.arrayWith([Match.objectLike({ Effect: "Deny", Condition: { Bool: { "aws:SecureTransport": "false" } } })]) } },
    2,
  );
  template.hasResourceProperties("AWS::S3::Bucket", {
    LifecycleConfiguration: {
      Rules: Match.arrayWith([
        Match.objectLike({ Prefix: "canvass/exports/", Transitions: [Match.objectLike({ TransitionInDays: 30 }), Match.objectLike({ TransitionInDays: 90 })] }),
      ]),
    },
  });
});

test("document B's route has a validator, and the stage the parameters' throttle", () => {
  template.hasResourceProperties("AWS::ApiGateway::Method", {
    HttpMethod: "POST",
    RequestValidatorId: Match.anyValue(),
    RequestModels: { "application/json": Match.anyValue() },
  });
  template.hasResourceProperties("AWS::ApiGateway::Stage", {
    StageName: { Ref: "Environment" },
    MethodSettings: [Match.objectLike({ ThrottlingRateLimit: { Ref: "ApiThrottleRateLimit" }, ThrottlingBurstLimit: { Ref: "ApiThrottleBurstLimit" } })],
  });
  template.hasResourceProperties("AWS::ApiGateway::UsagePlan", { Quota: { Limit: { Ref: "ApiKeyDailyQuota" }, Period: "DAY" } });
});

test("CloudFront and the function know each other by one secret, and the caller is CloudFront's word", () => {
  const source = readFileSync(join(ROOT, "crates/canvass-lambda/src/gateway.rs"), "utf8");
  const [key, caller] = ["EDGE_KEY", "EDGE_CALLER"].map((name) => new RegExp(`const ${name}: &str = "([\\w-]+)"`).exec(source)![1]!);
  const [[, { Properties: distribution }]] = of(made.template, "AWS::CloudFront::Distribution") as unknown as [[string, { Properties: any }]];
  const config = distribution.DistributionConfig;
  const secret = { Ref: "EdgeKeySecret" };
  assert.deepEqual(config.Origins[0].OriginCustomHeaders, [
    { HeaderName: key, HeaderValue: { "Fn::Join": ["", ["{{resolve:secretsmanager:", secret, "}}"]] } },
  ]);
  const { CANVASS_EDGE_KEY_SECRET } = made.template.Resources.VoteProcessorFunction.Properties.Environment.Variables;
  assert.deepEqual(CANVASS_EDGE_KEY_SECRET, { "Fn::If": ["HasCloudFront", secret, { Ref: "AWS::NoValue" }] });
  for (const behaviour of [config.DefaultCacheBehavior, ...config.CacheBehaviors]) {
    const [name] = references(behaviour.FunctionAssociations.find((one: any) => one.EventType === "viewer-request")?.FunctionARN);
    const code = made.template.Resources[name!].Properties.FunctionCode;
    const asked = new Function(`${code}; return handler({ request: { headers: { "${caller}": { value: "forged" } } }, viewer: { ip: "192.0.2.7" } });`)();
    assert.deepEqual(asked.headers, { [caller!]: { value: "192.0.2.7" } });
  }
});

test("the analytics read the files as they are written", () => {
  const source = readFileSync(join(ROOT, "crates/canvass-export/src/row.rs"), "utf8");
  const written = /const COLUMNS: \[&str; \d+\] =\s*\[([^\]]*)\]/.exec(source)![1]!.match(/\w+/g);
  assert.deepEqual(CSV_COLUMNS, written);
  const asked = [...newestVotes("base").matchAll(/\b[vn]\.("?)(\w+)\1/g)].map((match) => match[2]!);
  const known = new Set([...CSV_COLUMNS.map((column) => column.toLowerCase()), "newest"]);
  assert.deepEqual(asked.filter((column) => !known.has(column)), []);
  assert.ok(!COLUMNS.some((column) => /voter/i.test(column.name)), "no voter is named");
});

let plain: Set<string>;

/** The types of the resources that a choice adds to the construct in an app of one's own. */
function check(choice: Partial<CanvassProps>, expected: string[]): void {
  const more = [...typesOf(choice)].filter((type) => !plain.has(type));
  assert.deepEqual(more.sort(), expected);
}

function typesOf(choice: Partial<CanvassProps>): Set<string> {
  const stack = new Stack(new App(), "Mine");
  const archives = { bucket: "archives", prefix: "canvass/1/", architecture: "arm64" };
  new Canvass(stack, "Polls", { archives, alertEmail: "me@example.com", ...choice });
  const resources: Record<string, { Type: string; Condition?: string }> = Template.fromStack(stack).toJSON().Resources;
  assert.ok(Object.values(resources).every((resource) => resource.Condition === undefined));
  return new Set(Object.values(resources).map((resource) => resource.Type));
}

test("each choice adds what it says, and nothing is there without it", () => {
  plain = typesOf({});
  const network = ["Subnet", "SubnetRouteTableAssociation", "RouteTable", "SecurityGroup", "SecurityGroupEgress", "SecurityGroupIngress", "VPC", "VPCEndpoint"].map((type) => `AWS::EC2::${type}`);
  const redis = (serverless: boolean) => ({ redis: { on: true, serverless, node: !serverless, nodeType: "cache.t3.micro" } });
  check(redis(true), [...network, "AWS::ElastiCache::ServerlessCache", "AWS::IAM::ManagedPolicy"].sort());
  check(redis(false), [...network, "AWS::ElastiCache::ReplicationGroup", "AWS::ElastiCache::SubnetGroup", "AWS::IAM::ManagedPolicy"].sort());
  check({ quickSight: { on: true, userArn: "arn:aws:quicksight:eu-west-1:111122223333:user/default/me" } }, [
    "AWS::Athena::WorkGroup",
    "AWS::Glue::Database",
    "AWS::Glue::Table",
    "AWS::QuickSight::Analysis",
    "AWS::QuickSight::Dashboard",
    "AWS::QuickSight::DataSet",
    "AWS::QuickSight::DataSource",
    "AWS::QuickSight::RefreshSchedule",
  ]);
  check({ cloudFront: true }, ["AWS::CloudFront::CachePolicy", "AWS::CloudFront::Distribution", "AWS::CloudFront::Function"]);
  const domain = { on: true, name: "vote.example.com", certificateArn: "arn:aws:acm:eu-west-1:111122223333:certificate/a" };
  check({ domain }, ["AWS::ApiGateway::BasePathMapping", "AWS::ApiGateway::DomainName"]);
  check({ firewall: { on: true, rateLimit: 2000 } }, ["AWS::WAFv2::WebACL", "AWS::WAFv2::WebACLAssociation"]);
  check({ budget: { on: true, monthlyDollars: 50 } }, ["AWS::Budgets::Budget"]);
});
