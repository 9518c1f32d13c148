// Where alarms go: a topic that sends e-mail. An alarm that notifies nobody is none.
import { Aws, aws_cloudwatch as cloudwatch, aws_sns as sns } from "aws-cdk-lib";
import { Construct } from "constructs";

/** A metric by its namespace, name and dimensions. */
export interface Metric {
  readonly namespace: string;
  readonly metricName: string;
  readonly dimensions?: Record<string, string>;
}

/** When an alarm goes off. */
export interface Threshold {
  readonly statistic?: string;
  readonly extendedStatistic?: string;
  readonly periodSeconds: number;
  readonly evaluationPeriods?: number;
  readonly above: number;
}

/** The topic, and a way to make alarms that go to it. */
export class Alerts extends Construct {
  readonly topic: sns.CfnTopic;
  readonly alarms: cloudwatch.CfnAlarm[] = [];

  constructor(scope: Construct, email: string) {
    super(scope, "Alerts");
    // Not encrypted by a key: CloudWatch cannot publish under AWS's own, and one of its own costs money while idle. Alarms
    // hold names and figures, no vote and no voter.
    this.topic = new sns.CfnTopic(this, "Topic", {
      displayName: `${Aws.STACK_NAME} alerts`,
      subscription: [{ endpoint: email, protocol: "email" }],
    });
    new sns.CfnTopicPolicy(this, "TopicPolicy", {
      topics: [this.topic.ref],
      policyDocument: {
        Version: "2012-10-17",
        Statement: [
          publish("cloudwatch.amazonaws.com", this.topic.ref),
          publish("budgets.amazonaws.com", this.topic.ref),
          {
            Effect: "Deny",
            Principal: { AWS: "*" },
            Action: "sns:Publish",
            Resource: this.topic.ref,
            Condition: { Bool: { "aws:SecureTransport": "false" } },
          },
        ],
      },
    });
  }

  /** An alarm on one metric. */
  on(scope: Construct, id: string, description: string, metric: Metric, threshold: Threshold): cloudwatch.CfnAlarm {
    const { statistic, extendedStatistic } = threshold;
    return this.make(scope, id, description, threshold, {
      namespace: metric.namespace,
      metricName: metric.metricName,
      dimensions: dimensions(metric),
      period: threshold.periodSeconds,
      ...(extendedStatistic === undefined ? { statistic: statistic ?? "Sum" } : { extendedStatistic }),
    });
  }

  /** An alarm on a sum over a metric, worked out by an expression in which the sum is `sum`. */
  onSum(scope: Construct, id: string, description: string, metric: Metric, expression: string, threshold: Threshold) {
    const stat = {
      metric: { namespace: metric.namespace, metricName: metric.metricName, dimensions: dimensions(metric) },
      period: threshold.periodSeconds,
      stat: "Sum",
    };
    return this.make(scope, id, description, threshold, {
      metrics: [
        { id: "sum", metricStat: stat, returnData: false },
        { id: "result", expression, label: description },
      ],
    });
  }

  private make(
    scope: Construct,
    id: string,
    description: string,
    threshold: Threshold,
    metric: Partial<cloudwatch.CfnAlarmProps>,
  ): cloudwatch.CfnAlarm {
    const alarm = new cloudwatch.CfnAlarm(scope, id, {
      alarmDescription: description,
      comparisonOperator: "GreaterThanThreshold",
      threshold: threshold.above,
      evaluationPeriods: threshold.evaluationPeriods ?? 1,
      // Nothing that happened is nothing wrong.
      treatMissingData: "notBreaching",
      alarmActions: [this.topic.ref],
      okActions: [this.topic.ref],
      ...metric,
    });
    this.alarms.push(alarm);
    return alarm;
  }
}

function publish(service: string, topic: string) {
  return {
    Effect: "Allow",
    Principal: { Service: service },
    Action: "sns:Publish",
    Resource: topic,
    Condition: { StringEquals: { "aws:SourceAccount": Aws.ACCOUNT_ID } },
  };
}

function dimensions(metric: Metric): cloudwatch.CfnAlarm.DimensionProperty[] {
  return Object.entries(metric.dimensions ?? {}).map(([name, value]) => ({ name, value }));
}
