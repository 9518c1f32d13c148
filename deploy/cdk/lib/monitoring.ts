// Alarms for what would keep votes from being taken or counted, and a dashboard of the same figures.
import { Aws, Stack, Token, aws_cloudwatch as cloudwatch, aws_sqs as sqs } from "aws-cdk-lib";
import { Construct } from "constructs";
import { Alerts, Metric } from "./alerts";
import { Api } from "./api";
import { CanvassFunction } from "./functions";
import { Tables } from "./tables";

const NAMESPACE = "Canvass";

/** A metric that the functions of a stack write (deploy/functions.json), with the dimensions that they write it with. */
const written = (stack: string, metricName: string, dimensions: Record<string, string> = {}): Metric => ({
  namespace: NAMESPACE,
  metricName,
  dimensions: { Stack: stack, ...dimensions },
});

const FIVE_MINUTES = 300;

/** What is watched. */
export interface Watched {
  /** What the tables' names begin with, by which the functions tell their figures from another stack's. */
  readonly stack: string;
  readonly api: Api;
  readonly functions: { readonly api: CanvassFunction; readonly tally: CanvassFunction; readonly export: CanvassFunction };
  readonly tables: Tables;
  readonly deadLetters: sqs.CfnQueue;
  readonly dailyVoteTarget: number;
}

export function makeAlarms(scope: Construct, alerts: Alerts, watched: Watched): void {
  for (const [name, made] of Object.entries(watched.functions)) watchFunction(made, alerts, name);
  watchApi(watched.api, alerts);
  alerts.on(
    scope,
    "TallyAgeAlarm",
    "Votes are counted more than a minute late: the tally fails or is throttled",
    of("AWS/Lambda", "IteratorAge", { FunctionName: watched.functions.tally.resource.ref }),
    { statistic: "Maximum", periodSeconds: 60, evaluationPeriods: 3, above: 60_000 },
  );
  alerts.on(
    scope,
    "DeadLettersAlarm",
    "Records of votes were given up by the tally: they are stored, but not in the counts; recount the polls",
    of("AWS/SQS", "ApproximateNumberOfMessagesVisible", { QueueName: watched.deadLetters.attrQueueName }),
    { statistic: "Maximum", periodSeconds: 60, above: 0 },
  );
  const { stack } = watched;
  alerts.on(
    scope,
    "PoisonRecordsAlarm",
    "Records of votes cannot be read and are not counted",
    written(stack, "PoisonRecords"),
    { periodSeconds: FIVE_MINUTES, above: 0 },
  );
  alerts.on(
    scope,
    "RecountDifferencesAlarm",
    "A poll's votes, counted anew, are not what was counted: do not certify it before it is known why",
    written(stack, "RecountDifferences"),
    { periodSeconds: FIVE_MINUTES, above: 0 },
  );
  alerts.on(scope, "ExportFailuresAlarm", "Exports were not written two hours in a row", written(stack, "ExportFailures"), {
    periodSeconds: 3600,
    evaluationPeriods: 2,
    above: 0,
  });
  // Ten times the pace of the target: its mean is a 288th of a day's votes in five minutes.
  alerts.onSum(
    scope,
    "HighVoteVolumeAlarm",
    "Votes come at more than ten times the pace of DailyVoteTarget",
    written(stack, "Votes", { Outcome: "cast" }),
    "sum * 28.8",
    { periodSeconds: FIVE_MINUTES, above: watched.dailyVoteTarget },
  );
}

function watchFunction(made: CanvassFunction, alerts: Alerts, name: string): void {
  const metric = (metricName: string) => of("AWS/Lambda", metricName, { FunctionName: made.resource.ref });
  alerts.on(made, "ErrorsAlarm", `The function ${name} fails`, metric("Errors"), {
    periodSeconds: FIVE_MINUTES,
    above: 0,
  });
  alerts.on(made, "ThrottlesAlarm", `The function ${name} is throttled by the account's limit`, metric("Throttles"), {
    periodSeconds: FIVE_MINUTES,
    above: 0,
  });
  alerts.on(made, "DurationAlarm", `The function ${name} takes nearly as long as it may`, metric("Duration"), {
    extendedStatistic: "p99",
    periodSeconds: FIVE_MINUTES,
    above: made.timeoutSeconds * 800,
  });
}

function watchApi(api: Api, alerts: Alerts): void {
  const metric = (name: string) => of("AWS/ApiGateway", name, { ApiName: api.name, Stage: api.stage.ref });
  alerts.on(api, "ClientErrorsAlarm", "Many requests are refused", metric("4XXError"), {
    periodSeconds: FIVE_MINUTES,
    evaluationPeriods: 2,
    above: 50,
  });
  alerts.on(api, "ServerErrorsAlarm", "Requests fail", metric("5XXError"), { periodSeconds: FIVE_MINUTES, above: 0 });
}

function of(namespace: string, metricName: string, dimensions: Record<string, string>): Metric {
  return { namespace, metricName, dimensions };
}

/** One page with every alarm, the votes, and what each part does. */
export function makeDashboard(scope: Construct, alerts: Alerts, watched: Watched): cloudwatch.CfnDashboard {
  const functions = Object.entries(watched.functions);
  const each = (metricName: string, stat: string) =>
    functions.map(([name, made]) => line(of("AWS/Lambda", metricName, { FunctionName: made.resource.ref }), name, stat));
  const api = { ApiName: watched.api.name, Stage: watched.api.stage.ref };
  const tables = Object.entries(watched.tables).map(([name, table]) => [name, { TableName: table.ref }] as const);
  const widgets = [
    { type: "alarm", width: 24, height: 3, properties: { title: "Alarms", alarms: alerts.alarms.map((alarm) => alarm.attrArn) } },
    graph("Votes in five minutes", ["cast", "changed", "withdrawn", "replayed", "already_voted", "refused"].map((outcome) =>
      line(written(watched.stack, "Votes", { Outcome: outcome }), outcome, "Sum"))),
    graph("Requests", [
      line(of("AWS/ApiGateway", "Count", api), "all", "Sum"),
      line(of("AWS/ApiGateway", "4XXError", api), "refused", "Sum"),
      line(of("AWS/ApiGateway", "5XXError", api), "failed", "Sum"),
    ]),
    graph("Time to an answer, milliseconds", ["p50", "p99"].map((stat) => line(of("AWS/ApiGateway", "Latency", api), stat, stat))),
    graph("How late votes are counted, milliseconds", [
      line(of("AWS/Lambda", "IteratorAge", { FunctionName: watched.functions.tally.resource.ref }), "oldest", "Maximum"),
    ]),
    graph("Errors of functions", each("Errors", "Sum")),
    graph("Time of functions, milliseconds", each("Duration", "p99")),
    graph("Write units of tables", tables.map(([name, of_]) => line(of("AWS/DynamoDB", "ConsumedWriteCapacityUnits", of_), name, "Sum"))),
    graph("Read units of tables", tables.map(([name, of_]) => line(of("AWS/DynamoDB", "ConsumedReadCapacityUnits", of_), name, "Sum"))),
    graph("Given up by the tally, failed exports, wrong counts", [
      line(of("AWS/SQS", "ApproximateNumberOfMessagesVisible", { QueueName: watched.deadLetters.attrQueueName }), "given up", "Maximum"),
      line(written(watched.stack, "ExportFailures"), "failed exports", "Sum"),
      line(written(watched.stack, "RecountDifferences"), "recounts that differ", "Sum"),
    ]),
  ];
  return new cloudwatch.CfnDashboard(scope, "Dashboard", {
    dashboardName: Aws.STACK_NAME,
    dashboardBody: Token.asString(Stack.of(scope).toJsonString({ widgets })),
  });
}

function line(metric: Metric, label: string, stat: string) {
  const dimensions = Object.entries(metric.dimensions ?? {}).flat();
  return [metric.namespace, metric.metricName, ...dimensions, { label, stat, period: FIVE_MINUTES }];
}

function graph(title: string, metrics: unknown[]) {
  return { type: "metric", width: 8, height: 6, properties: { title, view: "timeSeries", region: Aws.REGION, metrics } };
}
