// The stack that can be deployed alone: everything that may be chosen is a parameter. Parameters and outputs have the
// names of the two documents where those have one.
import { Aws, CfnCondition, CfnElement, CfnOutput, CfnParameter, CfnParameterProps, CfnRule, Fn, ICfnConditionExpression, Stack, StackProps } from "aws-cdk-lib";
import { Construct } from "constructs";
import { Canvass } from "./canvass";
import { accept } from "./reasons";
import { Switch } from "./switch";

/** Canvass and nothing else, by parameters. */
export class CanvassStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps = {}) {
    super(scope, id, { description: "Canvass: polls and votes that count exactly once", ...props });
    this.templateOptions.metadata = { "AWS::CloudFormation::Interface": { ParameterGroups: GROUPS, ParameterLabels: {} } };
    const text = (name: string, more: CfnParameterProps) => new CfnParameter(this, name, { type: "String", ...more }).valueAsString;
    const number = (name: string, more: CfnParameterProps) => new CfnParameter(this, name, { type: "Number", minValue: 1, ...more }).valueAsNumber;
    const choice = (name: string, allowedValues: string[], description: string) =>
      text(name, { default: allowedValues[0], allowedValues, description });
    const condition = (name: string, expression: ICfnConditionExpression) => new CfnCondition(this, name, { expression });
    const given = (name: string, value: string, none = "") => condition(name, Fn.conditionNot(Fn.conditionEquals(value, none)));

    const redis = choice("Redis", ["off", "serverless", "node"], "Redis for current results: none, paid by use (with a minimum), or nodes of ElastiCacheNodeType");
    const quickSightUser = text("QuickSightUserArn", { default: "", description: "ARN of the QuickSight user or group that sees the dashboard; without one there is none" });
    const domainName = text("DomainName", { default: "", description: "A domain name of your own for the site" });
    const certificateArn = text("CertificateArn", { default: "", description: "ARN of the domain's certificate in Certificate Manager: in us-east-1 with CloudFront, else in this region" });
    const firewallLimit = new CfnParameter(this, "WafRateLimit", { type: "Number", default: 0, minValue: 0, description: "Requests of one address in five minutes, above which a web ACL refuses them; 0 is no web ACL, else at least 10" }).valueAsNumber;
    const budget = new CfnParameter(this, "MonthlyBudget", { type: "Number", default: 0, minValue: 0, description: "US dollars a month for the whole account; an e-mail is sent at 80 %. 0 is no budget" }).valueAsNumber;
    const keyRequired = choice("ApiKeyRequired", ["false", "true"], "Whether API Gateway asks for a key of its usage plan on /votes and /results, as document A has it");
    const cloudFront = choice("CloudFront", ["false", "true"], "Whether CloudFront stands in front, and keeps public results for a second");
    const manageAccount = choice("ManageApiGatewayAccount", ["true", "false"], "Whether to set the role by which API Gateway writes logs, once for the account and region; false where it is set");
    const isTrue = (name: string, value: string) => condition(name, Fn.conditionEquals(value, "true"));
    const hasDomain = given("HasDomain", domainName);
    new CfnRule(this, "DomainHasCertificate", {
      ruleCondition: Fn.conditionNot(Fn.conditionEquals(domainName, "")),
      assertions: [{ assert: Fn.conditionNot(Fn.conditionEquals(certificateArn, "")), assertDescription: "DomainName needs CertificateArn" }],
    });

    const canvass = new Canvass(this, "Canvass", {
      archives: {
        bucket: text("FunctionsBucket", { minLength: 3, description: "Bucket in this region with the functions' archives" }),
        prefix: text("FunctionsPrefix", { allowedPattern: "^([^/]+/)+$", constraintDescription: "must end with a slash", description: "What stands before api.zip, tally.zip and export.zip in the bucket, such as canvass/0.1.0/; a new release needs a new one" }),
        architecture: choice("FunctionsArchitecture", ["x86_64", "arm64"], "The processors that the archives were built for"),
      },
      environment: choice("Environment", ["production", "staging", "development"], "Environment name, and the name of the API's stage"),
      alertEmail: text("AlertEmail", { allowedPattern: "[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\\.[a-zA-Z]{2,}", constraintDescription: "must be a valid e-mail address", description: "Where alarms are sent; AWS asks there for a confirmation" }),
      apiThrottleRateLimit: number("ApiThrottleRateLimit", { default: 100, description: "Requests a second of all callers together" }),
      apiThrottleBurstLimit: number("ApiThrottleBurstLimit", { default: 200, description: "Burst of requests of all callers together" }),
      apiKeyRequired: isTrue("AsksForApiKey", keyRequired),
      apiKeyRateLimit: number("ApiKeyRateLimit", { default: 10, description: "Requests a second of one key, where keys are asked for" }),
      apiKeyBurstLimit: number("ApiKeyBurstLimit", { default: 20, description: "Burst of requests of one key" }),
      apiKeyDailyQuota: number("ApiKeyDailyQuota", { default: 10_000, description: "Requests a day of one key" }),
      manageApiGatewayAccount: isTrue("ManagesApiGatewayAccount", manageAccount),
      dailyVoteTarget: number("DailyVoteTarget", { default: 5_000, description: "Votes expected a day; an alarm tells of ten times that pace" }),
      implicitPolls: choice("ImplicitPolls", ["false", "true"], "Whether a vote in a document's dialect opens a poll that nobody created"),
      exportSchedule: text("ExportSchedule", { default: "rate(1 hour)", description: "When polls that have changed are exported, as EventBridge writes it" }),
      eraseAfterDays: text("EraseAfterDays", { default: "90", allowedPattern: "[1-9][0-9]{0,4}|off", constraintDescription: "must be a number of days or off", description: "Days after a poll's close after which its voters are erased; off keeps them" }),
      redis: {
        on: given("HasRedis", redis, "off"),
        serverless: condition("HasServerlessRedis", Fn.conditionEquals(redis, "serverless")),
        node: condition("HasRedisNodes", Fn.conditionEquals(redis, "node")),
        nodeType: choice("ElastiCacheNodeType", ["cache.t3.micro", "cache.t3.small", "cache.t3.medium", "cache.t4g.micro", "cache.t4g.small", "cache.m7g.large"], "Type of the two Redis nodes, where Redis is node"),
      },
      quickSight: { on: given("HasQuickSightUser", quickSightUser), userArn: quickSightUser },
      cloudFront: isTrue("HasCloudFront", cloudFront),
      domain: { on: hasDomain, name: domainName, certificateArn },
      firewall: { on: condition("HasFirewall", Fn.conditionNot(Fn.conditionEquals(firewallLimit, 0))), rateLimit: firewallLimit },
      budget: { on: condition("HasBudget", Fn.conditionNot(Fn.conditionEquals(budget, 0))), monthlyDollars: budget },
    });
    this.tellOutputs(canvass, domainName, hasDomain);
    accept(this, "CloudFormation-Validate::W1001", "These outputs look at what is there only under a condition, by the same condition; cfn-lint, which works conditions out, agrees.");
    accept(this, "CloudFormation-Validate::W1030", "The limit 0 stands for no web ACL, so the default never becomes one's limit.");
  }

  /** Names without a hash: there is one Canvass here, and who operates the stack reads them. */
  protected override allocateLogicalId(element: CfnElement): string {
    const path = element.node.scopes.slice(element.node.scopes.indexOf(this) + 1).map((scope) => scope.node.id);
    return path.filter((id) => id !== "Canvass" && id !== "Resource").join("").replaceAll(/[^A-Za-z0-9]/g, "");
  }

  private tellOutputs(canvass: Canvass, domainName: string, hasDomain: Switch): void {
    const tell = (name: string, description: string, value: string, on: Switch = true) => {
      const output = new CfnOutput(this, name, { description, value });
      if (typeof on !== "boolean") output.condition = on;
    };
    const { tables, storage, functions, edge } = canvass;
    tell("ApiEndpoint", "The API's address", canvass.api.endpoint);
    tell("ApiKeyId", "Id of API Gateway's key; its value is asked for only with ApiKeyRequired", canvass.api.key.ref);
    tell("AdminKeySecretArn", "Where the admin key is", canvass.adminKey.ref);
    tell("VotesTableName", "Table of votes: the truth", tables.votes.ref);
    tell("PollsTableName", "Table of polls, keys and settings", tables.main.ref);
    tell("ResultsTableName", "Table of counts", tables.tally.ref);
    tell("ResultsBucketName", "Bucket of results and exports", storage.results.ref);
    tell("SnapshotBucketName", "The same bucket, under document A's name", storage.results.ref);
    tell("VoteProcessorFunctionArn", "The function that answers the API", functions.api.resource.attrArn);
    tell("ResultsAggregatorFunctionArn", "The function that counts", functions.tally.resource.attrArn);
    tell("ResultsExporterFunctionArn", "The function that exports", functions.export.resource.attrArn);
    tell("TallyDeadLettersUrl", "Queue of what the tally gave up", canvass.deadLetters.ref);
    tell("AlertTopicArn", "Topic of the alarms", canvass.alerts.topic.ref);
    tell("DashboardUrl", "The dashboard in CloudWatch", `https://${this.region}.console.aws.amazon.com/cloudwatch/home?region=${this.region}#dashboards:name=${Aws.STACK_NAME}`);
    const { network, dashboard } = canvass;
    if (network) tell("ElastiCacheEndpoint", "Redis; it speaks TLS only", network.host, conditionOf(this, "HasRedis"));
    if (dashboard) tell("QuickSightDashboardArn", "The dashboard in QuickSight", dashboard.attrArn, conditionOf(this, "HasQuickSightUser"));
    const { distribution, domain, domainOnApi } = edge;
    if (distribution) tell("SiteAddress", "The site by CloudFront", `https://${distribution.attrDomainName}`, conditionOf(this, "HasCloudFront"));
    const target = chooseTarget(distribution?.attrDomainName, domain?.attrRegionalDomainName, domainOnApi);
    tell("DomainTarget", `What the name has to lead to (CNAME or alias)`, target, hasDomain);
    tell("DomainAddress", "The site by its own name", `https://${domainName}`, hasDomain);
  }
}

function conditionOf(stack: Stack, name: string): CfnCondition {
  return stack.node.findChild(name) as CfnCondition;
}

function chooseTarget(byCloudFront: string | undefined, byApi: string | undefined, onApi: Switch): string {
  if (typeof onApi === "boolean") return (onApi ? byApi : byCloudFront) ?? "";
  return Fn.conditionIf(onApi.logicalId, byApi, byCloudFront).toString();
}

const GROUPS = [
  ["Needed", ["FunctionsBucket", "FunctionsPrefix", "FunctionsArchitecture", "AlertEmail"]],
  ["What is promised", ["Environment", "DailyVoteTarget", "ImplicitPolls", "ExportSchedule", "EraseAfterDays"]],
  ["Limits", ["ApiThrottleRateLimit", "ApiThrottleBurstLimit", "ApiKeyRequired", "ApiKeyRateLimit", "ApiKeyBurstLimit", "ApiKeyDailyQuota", "WafRateLimit", "MonthlyBudget"]],
  ["A name, and CloudFront", ["CloudFront", "DomainName", "CertificateArn"]],
  ["Costs money while idle", ["Redis", "ElastiCacheNodeType", "QuickSightUserArn"]],
  ["The account", ["ManageApiGatewayAccount"]],
].map(([label, parameters]) => ({ Label: { default: label }, Parameters: parameters }));
