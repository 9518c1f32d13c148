// Canvass on AWS: what the parts are and what each of them is given. The parts are in the files beside this one.
//
// Everything is made of the plain resources of CloudFormation, without assets, custom resources or a bootstrap, so that
// the template made from it can be deployed alone, and so that what a role may do stands here word for word.
import { Aws, CfnDeletionPolicy, aws_budgets as budgets, aws_events as events, aws_lambda as lambda, aws_quicksight as quicksight, aws_secretsmanager as secrets, aws_sqs as sqs } from "aws-cdk-lib";
import { Construct } from "constructs";
import { Alerts } from "./alerts";
import { makeAnalytics } from "./analytics";
import { Api } from "./api";
import { Edge, makeEdge, makeEdgeKey } from "./edge";
import { Archives, CanvassFunction } from "./functions";
import { Watched, makeAlarms, makeDashboard } from "./monitoring";
import { Network, makeNetwork } from "./network";
import { accept } from "./reasons";
import { EXPORTS_PREFIX, Storage, makeStorage } from "./storage";
import { Switch, choose } from "./switch";
import { Tables, makeTables } from "./tables";

/** What a deployment may choose. What is left out has the value that the template's parameters have by default. */
export interface CanvassProps {
  readonly archives: Archives;
  /** Where alarms are sent. */
  readonly alertEmail: string;
  /** What the tables' names begin with; the stack's name unless given. */
  readonly tablePrefix?: string;
  /** The name of the API's stage. */
  readonly environment?: string;
  /** Requests a second of all callers together, and their burst. */
  readonly apiThrottleRateLimit?: number;
  readonly apiThrottleBurstLimit?: number;
  /** Whether document A's routes ask for a key of the gateway, and what such a key may ask for. */
  readonly apiKeyRequired?: Switch;
  readonly apiKeyRateLimit?: number;
  readonly apiKeyBurstLimit?: number;
  readonly apiKeyDailyQuota?: number;
  /** Whether to set the account's role for API Gateway's logs. */
  readonly manageApiGatewayAccount?: Switch;
  /** Votes expected a day. An alarm tells of ten times that pace. */
  readonly dailyVoteTarget?: number;
  /** `true` if a vote in a document's dialect opens a poll that nobody created. */
  readonly implicitPolls?: string;
  /** When polls that have changed are exported, as EventBridge writes it. */
  readonly exportSchedule?: string;
  /** Days after a poll's close after which its voters are erased, or `off`. */
  readonly eraseAfterDays?: string;
  /** Redis for current results; `on` where either kind is. */
  readonly redis?: { readonly on: Switch; readonly serverless: Switch; readonly node: Switch; readonly nodeType: string };
  /** Whoever sees the QuickSight dashboard: the name of a user or group. */
  readonly quickSight?: { readonly on: Switch; readonly userArn: string };
  readonly cloudFront?: Switch;
  /** A name of one's own. The certificate lies in us-east-1 with CloudFront, else in the stack's region. */
  readonly domain?: { readonly on: Switch; readonly name: string; readonly certificateArn: string };
  /** Requests of one address in five minutes, above which they are refused. */
  readonly firewall?: { readonly on: Switch; readonly rateLimit: number };
  /** US dollars a month for the whole account, at 80 % of which an e-mail is sent. */
  readonly budget?: { readonly on: Switch; readonly monthlyDollars: number };
}

/** Tables, functions, API, exports, alarms; and by choice Redis, analytics, CloudFront, a firewall and a budget. */
export class Canvass extends Construct {
  readonly tables: Tables;
  readonly storage: Storage;
  readonly api: Api;
  readonly functions: Watched["functions"];
  readonly adminKey: secrets.CfnSecret;
  readonly deadLetters: sqs.CfnQueue;
  readonly alerts: Alerts;
  readonly network: Network | undefined;
  readonly edge: Edge;
  readonly dashboard: quicksight.CfnDashboard | undefined;

  constructor(scope: Construct, id: string, props: CanvassProps) {
    super(scope, id);
    const prefix = props.tablePrefix ?? Aws.STACK_NAME;
    this.tables = makeTables(this, prefix);
    this.storage = makeStorage(this);
    this.adminKey = this.makeAdminKey();
    const cloudFront = props.cloudFront ?? false;
    const edgeKey = makeEdgeKey(this, cloudFront);
    const edgeKeyName = edgeKey && choose(cloudFront, edgeKey.ref);
    this.deadLetters = this.makeDeadLetters();
    const redis = props.redis ?? { on: false, serverless: false, node: false, nodeType: "" };
    this.network = makeNetwork(this, {
      ...redis,
      tables: Object.values(this.tables).map((table) => table.attrArn),
      secrets: [this.adminKey.ref, ...(edgeKeyName === undefined ? [] : [edgeKeyName])],
    });
    this.functions = {
      api: this.makeApiFunction(props, prefix, redis.on, edgeKeyName),
      tally: this.makeTallyFunction(props, prefix),
      export: this.makeExportFunction(props, prefix),
    };
    this.feedTally();
    this.scheduleExport(props.exportSchedule ?? "rate(1 hour)");
    this.api = new Api(this, {
      answers: this.functions.api.resource,
      stage: props.environment ?? "production",
      throttleRateLimit: props.apiThrottleRateLimit ?? 100,
      throttleBurstLimit: props.apiThrottleBurstLimit ?? 200,
      keyRequired: props.apiKeyRequired ?? false,
      keyValue: `{{resolve:secretsmanager:${this.adminKey.ref}}}`,
      keyRateLimit: props.apiKeyRateLimit ?? 10,
      keyBurstLimit: props.apiKeyBurstLimit ?? 20,
      keyDailyQuota: props.apiKeyDailyQuota ?? 10_000,
      manageAccount: props.manageApiGatewayAccount ?? true,
    });
    this.edge = makeEdge(this, this.api, {
      cloudFront,
      key: edgeKey,
      domain: props.domain?.on ?? false,
      domainName: props.domain?.name ?? "",
      certificateArn: props.domain?.certificateArn ?? "",
      firewall: props.firewall?.on ?? false,
      firewallRateLimit: props.firewall?.rateLimit ?? 2_000,
    });
    this.alerts = new Alerts(this, props.alertEmail);
    const watched = { ...this, stack: prefix, dailyVoteTarget: props.dailyVoteTarget ?? 5_000 };
    makeAlarms(this, this.alerts, watched);
    makeDashboard(this, this.alerts, watched);
    const { on, userArn } = props.quickSight ?? { on: false, userArn: "" };
    this.dashboard = makeAnalytics(this, on, userArn, this.storage.results.ref);
    this.makeBudget(props);
  }

  private makeAdminKey(): secrets.CfnSecret {
    const secret = new secrets.CfnSecret(this, "AdminKey", {
      description: "The admin key of Canvass, as a whole",
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
    });
    // The tables know the key by its hash for as long as they live, so it lives as long.
    secret.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN;
    secret.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
    accept(secret, "AwsSolutions-SMG4", "It is a caller's key, not a service's: turning it by the clock would shut its users out. docs/aws.md says how it is changed.");
    return secret;
  }

  // Where Lambda tells which records of the stream it gave up: their places, not their contents.
  private makeDeadLetters(): sqs.CfnQueue {
    const queue = new sqs.CfnQueue(this, "TallyDeadLetters", {
      messageRetentionPeriod: 14 * 24 * 3600,
      sqsManagedSseEnabled: true,
    });
    accept(queue, "AwsSolutions-SQS3", "It is the dead-letter queue.");
    new sqs.CfnQueuePolicy(this, "TallyDeadLettersPolicy", {
      queues: [queue.ref],
      policyDocument: {
        Version: "2012-10-17",
        Statement: [
          {
            Effect: "Deny",
            Principal: { AWS: "*" },
            Action: "sqs:*",
            Resource: queue.attrArn,
            Condition: { Bool: { "aws:SecureTransport": "false" } },
          },
        ],
      },
    });
    return queue;
  }

  private makeApiFunction(props: CanvassProps, prefix: string, redis: Switch, edgeKey: string | undefined): CanvassFunction {
    const made = new CanvassFunction(this, "VoteProcessor", props.archives, {
      name: "api",
      description: "Answers what API Gateway is asked",
      memoryMebibytes: 512,
      timeoutSeconds: 29,
      environment: {
        CANVASS_TABLE_PREFIX: prefix,
        CANVASS_ADMIN_KEY_SECRET: this.adminKey.ref,
        ...(edgeKey === undefined ? {} : { CANVASS_EDGE_KEY_SECRET: edgeKey }),
        CANVASS_IMPLICIT_POLLS: props.implicitPolls ?? "false",
        ...(this.network === undefined ? {} : { CANVASS_REDIS: choose(redis, this.network.url) }),
      },
      permissions: {
        ReadAndWritePolls: [
          { Action: READ_AND_WRITE, Resource: this.tables.main.attrArn },
          { Action: ["dynamodb:Query"], Resource: this.pollIndexes() },
        ],
        CastAndEraseVotes: [{ Action: CAST_AND_ERASE, Resource: this.tables.votes.attrArn }],
        ReadAndBeginCounts: [{ Action: READ_AND_WRITE, Resource: this.tables.tally.attrArn }],
        ReadKeys: [
          { Action: ["secretsmanager:GetSecretValue"], Resource: [this.adminKey.ref, ...(edgeKey === undefined ? [] : [edgeKey])] },
        ],
      },
    });
    if (this.network === undefined) return made;
    made.resource.addPropertyOverride("VpcConfig", choose(redis, this.network.vpcConfig));
    // By way of the role, so that the function is not made before it may enter.
    made.role.managedPolicyArns = [choose(redis, this.network.mayEnter)];
    return made;
  }

  private makeTallyFunction(props: CanvassProps, prefix: string): CanvassFunction {
    const stream = this.tables.votes.attrStreamArn;
    const made = new CanvassFunction(this, "ResultsAggregator", props.archives, {
      name: "tally",
      description: "Folds the stream of votes into the counts",
      memoryMebibytes: 512,
      timeoutSeconds: 60,
      environment: { CANVASS_TABLE_PREFIX: prefix },
      permissions: {
        Count: [{ Action: ["dynamodb:GetItem", "dynamodb:PutItem"], Resource: this.tables.tally.attrArn }],
        ReadVotesStream: [
          { Action: ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"], Resource: stream },
          { Action: ["dynamodb:ListStreams"], Resource: "*" },
        ],
        TellWhatWasGivenUp: [{ Action: ["sqs:SendMessage"], Resource: this.deadLetters.attrArn }],
      },
    });
    accept(made.role, "AwsSolutions-IAM5[Resource::*]", "dynamodb:ListStreams, which Lambda asks for before it reads a stream, knows no narrower resource; it tells names of streams and nothing in them.");
    return made;
  }

  private makeExportFunction(props: CanvassProps, prefix: string): CanvassFunction {
    const { results } = this.storage;
    const files = `${results.attrArn}/${EXPORTS_PREFIX}/*`;
    const made = new CanvassFunction(this, "ResultsExporter", props.archives, {
      name: "export",
      description: "Writes the polls that have changed to files, and erases voters",
      memoryMebibytes: 1024,
      timeoutSeconds: 900,
      environment: {
        CANVASS_TABLE_PREFIX: prefix,
        CANVASS_EXPORT_TO: `s3://${results.ref}/${EXPORTS_PREFIX}`,
        CANVASS_ERASE_AFTER_DAYS: props.eraseAfterDays ?? "90",
      },
      permissions: {
        ReadAndStepPolls: [
          { Action: READ_AND_WRITE, Resource: this.tables.main.attrArn },
          { Action: ["dynamodb:Query"], Resource: this.pollIndexes() },
        ],
        ReadAndEraseVotes: [{ Action: CAST_AND_ERASE, Resource: this.tables.votes.attrArn }],
        ReadAndStepCounts: [{ Action: READ_AND_WRITE, Resource: this.tables.tally.attrArn }],
        WriteExports: [
          { Action: ["s3:GetObject", "s3:PutObject"], Resource: files },
          // Without it S3 says of a file that is not there yet that it is forbidden. A condition on the prefix would not
          // hold for that question.
          { Action: ["s3:ListBucket"], Resource: results.attrArn },
        ],
      },
    });
    accept(made.role, "AwsSolutions-IAM5[Resource::<ResultsBucket.Arn>/canvass/*]", "The files' names hold polls and times that are not known before; nothing outside the prefix can be read or written.");
    return made;
  }

  private pollIndexes(): string[] {
    return ["by-status", "by-due"].map((index) => `${this.tables.main.attrArn}/index/${index}`);
  }

  // Exactly once is the function's doing: a count and how far the stream is folded into it change in one write. Here it
  // is seen to that every record comes, in order within its shard, from the very first one.
  private feedTally(): void {
    new lambda.CfnEventSourceMapping(this, "VotesStream", {
      eventSourceArn: this.tables.votes.attrStreamArn,
      functionName: this.functions.tally.resource.ref,
      startingPosition: "TRIM_HORIZON",
      batchSize: 1_000,
      maximumBatchingWindowInSeconds: 1,
      // The window's events name the shard.
      tumblingWindowInSeconds: 1,
      parallelizationFactor: 1,
      bisectBatchOnFunctionError: true,
      functionResponseTypes: ["ReportBatchItemFailures"],
      // Long enough to outlast a fault of the tables; short enough that a record that can never be read does not hold
      // up those behind it until the stream forgets them after a day. Age alone gives nothing up.
      maximumRetryAttempts: 1_000,
      maximumRecordAgeInSeconds: -1,
      destinationConfig: { onFailure: { destination: this.deadLetters.attrArn } },
    }).node.addDependency(this.functions.tally.role);
  }

  private scheduleExport(scheduleExpression: string): void {
    const target = this.functions.export.resource;
    const rule = new events.CfnRule(this, "ResultsExportSchedule", {
      description: "Exports the polls that have changed",
      scheduleExpression,
      state: "ENABLED",
      targets: [{ arn: target.attrArn, id: "export", retryPolicy: { maximumRetryAttempts: 2, maximumEventAgeInSeconds: 1800 } }],
    });
    new lambda.CfnPermission(this, "ScheduleMayExport", {
      action: "lambda:InvokeFunction",
      functionName: target.ref,
      principal: "events.amazonaws.com",
      sourceArn: rule.attrArn,
    });
  }

  private makeBudget(props: CanvassProps): void {
    const { on, monthlyDollars } = props.budget ?? { on: false, monthlyDollars: 0 };
    if (on === false) return;
    const told = (notificationType: string, threshold: number) => ({
      notification: { comparisonOperator: "GREATER_THAN", notificationType, threshold, thresholdType: "PERCENTAGE" },
      subscribers: [{ subscriptionType: "SNS", address: this.alerts.topic.ref }],
    });
    const budget = new budgets.CfnBudget(this, "Budget", {
      budget: { budgetType: "COST", timeUnit: "MONTHLY", budgetLimit: { amount: monthlyDollars, unit: "USD" } },
      notificationsWithSubscribers: [told("ACTUAL", 80), told("FORECASTED", 100)],
    });
    if (on !== true) budget.cfnOptions.condition = on;
  }
}

const READ_AND_WRITE = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"];

/** A vote whose voter is erased is written anew without the voter, and taken out where it was. */
const CAST_AND_ERASE = ["dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"];
