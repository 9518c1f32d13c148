// The REST API before the function: throttles, a validator for document B's route, a usage plan for document A's, and a
// log of accesses without bodies and without voters.
import { createHash } from "node:crypto";
import { Aws, CfnDeletionPolicy, CfnResource, Stack, aws_apigateway as gateway, aws_iam as iam, aws_lambda as lambda, aws_logs as logs } from "aws-cdk-lib";
import { Construct } from "constructs";
import { assumedBy } from "./functions";
import { Switch, choose, part } from "./switch";
import { accept } from "./reasons";

/** How the API is limited, and what it leads to. */
export interface ApiOptions {
  /** The function that answers. */
  readonly answers: lambda.CfnFunction;
  readonly stage: string;
  /** Requests a second of all callers together, and their burst. */
  readonly throttleRateLimit: number;
  readonly throttleBurstLimit: number;
  /** Whether document A's routes ask for a key of the gateway. */
  readonly keyRequired: Switch;
  /** The value of the gateway's key where one is asked for. */
  readonly keyValue: string;
  /** Requests a second of one key, their burst, and requests a day. */
  readonly keyRateLimit: number;
  readonly keyBurstLimit: number;
  readonly keyDailyQuota: number;
  /** Whether to set the account's role for the gateway's logs. It is one for the whole region. */
  readonly manageAccount: Switch;
}

/** The routes that are known here by name; all others go through as they are. */
const ROUTES: { path: string | null; methods: string[]; keyed: boolean }[] = [
  { path: null, methods: ["ANY"], keyed: false },
  { path: "{proxy+}", methods: ["ANY"], keyed: false },
  { path: "vote", methods: ["POST", "ANY"], keyed: false },
  { path: "votes", methods: ["POST", "GET", "ANY"], keyed: true },
  { path: "results", methods: ["GET", "ANY"], keyed: true },
];

/** Whatever the function says is no text, or too large to be sent as such, is sent as bytes to whoever asks for it. */
const BINARY = ["*/*"];

/** What is told of a request: nothing that a caller wrote, so no path, no address and no voter. */
const ACCESS_LOG = {
  requestId: "$context.requestId",
  requestTime: "$context.requestTime",
  method: "$context.httpMethod",
  route: "$context.resourcePath",
  status: "$context.status",
  responseBytes: "$context.responseLength",
  latencyMs: "$context.responseLatency",
  refusedBy: "$context.error.responseType",
};

/** The API and its stage. */
export class Api extends Construct {
  readonly api: gateway.CfnRestApi;
  readonly stage: gateway.CfnStage;
  readonly key: gateway.CfnApiKey;
  /** Without a slash at the end, as document B's output is. */
  readonly endpoint: string;
  readonly name = `${Aws.STACK_NAME}-api`;

  constructor(scope: Construct, options: ApiOptions) {
    super(scope, "Api");
    this.api = new gateway.CfnRestApi(this, "RestApi", {
      name: this.name,
      description: "Canvass: polls and votes that count exactly once",
      endpointConfiguration: { types: ["REGIONAL"] },
      binaryMediaTypes: BINARY,
    });
    accept(this.api, "AwsSolutions-APIG2", "The route of document B has a validator, by the document's schema. All others are validated by the function, which answers with the contract's problems.");
    const parts = [...this.makeMethods(options), ...this.makeResponses()];
    const deployment = this.makeDeployment(parts);
    this.stage = this.makeStage(deployment, options);
    this.endpoint = `https://${this.api.ref}.execute-api.${Aws.REGION}.${Aws.URL_SUFFIX}/${this.stage.ref}`;
    this.key = this.makePlan(options);
    new lambda.CfnPermission(this, "MayInvoke", {
      action: "lambda:InvokeFunction",
      functionName: options.answers.ref,
      principal: "apigateway.amazonaws.com",
      sourceArn: `arn:${Aws.PARTITION}:execute-api:${Aws.REGION}:${Aws.ACCOUNT_ID}:${this.api.ref}/${options.stage}/*`,
    });
  }

  private makeMethods(options: ApiOptions): CfnResource[] {
    const made: CfnResource[] = [];
    for (const route of ROUTES) {
      const resource = this.makeResource(route.path);
      if (resource) made.push(resource);
      // A browser asks with OPTIONS, and without a key, whether it may ask at all; the function knows the answer.
      for (const httpMethod of [...route.methods, "OPTIONS"]) {
        const method = new gateway.CfnMethod(this, `${idOf(route.path)}${httpMethod}`, {
          restApiId: this.api.ref,
          resourceId: resource?.ref ?? this.api.attrRootResourceId,
          httpMethod,
          authorizationType: "NONE",
          apiKeyRequired: route.keyed && httpMethod !== "OPTIONS" ? choose(options.keyRequired, true, false) : false,
          integration: {
            type: "AWS_PROXY",
            integrationHttpMethod: "POST",
            uri: `arn:${Aws.PARTITION}:apigateway:${Aws.REGION}:lambda:path/2015-03-31/functions/${options.answers.attrArn}/invocations`,
          },
          ...(route.path === "vote" && httpMethod === "POST" ? validated(this, this.api, made) : {}),
        });
        accept(method, "AwsSolutions-APIG4", "The function decides by Canvass's own keys, codes and devices who may do what; voters have no AWS identity.");
        if (httpMethod !== "OPTIONS") accept(method, "AwsSolutions-COG4", "The same: there is no user pool, and nobody has to sign up to vote.");
        made.push(method);
      }
    }
    return made;
  }

  private makeResource(pathPart: string | null): gateway.CfnResource | undefined {
    if (pathPart === null) return undefined;
    return new gateway.CfnResource(this, `${idOf(pathPart)}Resource`, {
      restApiId: this.api.ref,
      parentId: this.api.attrRootResourceId,
      pathPart,
    });
  }

  // What the gateway itself refuses is readable by scripts of any origin, as document A's clients expect.
  private makeResponses(): CfnResource[] {
    const cors = { "gatewayresponse.header.Access-Control-Allow-Origin": "'*'" };
    const wait = (seconds: number) => ({ ...cors, "gatewayresponse.header.Retry-After": `'${seconds}'` });
    const responses: [string, Record<string, string>][] = [
      ["DEFAULT_4XX", cors],
      ["DEFAULT_5XX", cors],
      ["THROTTLED", wait(1)],
      ["QUOTA_EXCEEDED", wait(3600)],
    ];
    return responses.map(
      ([responseType, responseParameters]) =>
        new gateway.CfnGatewayResponse(this, `Response${responseType.replaceAll("_", "")}`, {
          restApiId: this.api.ref,
          responseType,
          responseParameters,
        }),
    );
  }

  // A deployment is a copy of the API as it was, so its name changes with what is deployed.
  private makeDeployment(parts: CfnResource[]): gateway.CfnDeployment {
    const stack = Stack.of(this);
    const deployed = JSON.stringify([this.api, ...parts].map((made) => stack.resolve(made._toCloudFormation())));
    const hash = createHash("sha256").update(deployed).digest("hex").slice(0, 8);
    const deployment = new gateway.CfnDeployment(this, `Deployment${hash}`, { restApiId: this.api.ref });
    parts.forEach((made) => deployment.addResourceDependency(made));
    return deployment;
  }

  private makeStage(deployment: gateway.CfnDeployment, options: ApiOptions): gateway.CfnStage {
    const log = new logs.CfnLogGroup(this, "AccessLog", {
      logGroupName: `/aws/apigateway/${this.name}`,
      retentionInDays: 30,
    });
    log.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE;
    log.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.DELETE;
    const account = this.makeAccount(options.manageAccount);
    const stage = new gateway.CfnStage(this, "Stage", {
      restApiId: this.api.ref,
      deploymentId: deployment.ref,
      stageName: options.stage,
      accessLogSetting: { destinationArn: log.attrArn, format: JSON.stringify(ACCESS_LOG) },
      methodSettings: [
        {
          resourcePath: "/*",
          httpMethod: "*",
          throttlingRateLimit: options.throttleRateLimit,
          throttlingBurstLimit: options.throttleBurstLimit,
          metricsEnabled: true,
          loggingLevel: "OFF",
          dataTraceEnabled: false,
        },
      ],
    });
    accept(stage, "AwsSolutions-APIG6", "Execution logs hold paths, and a path may name a voter. The access log tells of every request without that.");
    // The role must be there before the stage logs. A dependency by name would be an error where the role is not made.
    if (account) stage.description = choose(options.manageAccount, `What callers reach; its log is written by ${account.ref}`);
    return stage;
  }

  private makeAccount(on: Switch): gateway.CfnAccount | undefined {
    return part(this, "Logging", on, (inside) => {
      const managed = `arn:${Aws.PARTITION}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs`;
      const role = new iam.CfnRole(inside, "Role", {
        description: "Lets API Gateway write the logs of this account and region",
        assumeRolePolicyDocument: assumedBy("apigateway.amazonaws.com"),
        managedPolicyArns: [managed],
      });
      accept(role, "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]", "The setting is one for all APIs of the account in the region, and AWS's policy is the one that it is meant for.");
      const account = new gateway.CfnAccount(inside, "Account", { cloudWatchRoleArn: role.attrArn });
      // Other APIs of the account may have come to need it.
      for (const resource of [role, account]) {
        resource.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN;
        resource.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
      }
      return account;
    });
  }

  // It counts the requests of the routes that ask for a key.
  private makePlan(options: ApiOptions): gateway.CfnApiKey {
    const plan = new gateway.CfnUsagePlan(this, "UsagePlan", {
      usagePlanName: this.name,
      throttle: { rateLimit: options.keyRateLimit, burstLimit: options.keyBurstLimit },
      quota: { limit: options.keyDailyQuota, period: "DAY" },
      apiStages: [
        {
          apiId: this.api.ref,
          stage: this.stage.ref,
          // Document A's figures for each method.
          throttle: {
            "/votes/POST": { rateLimit: 10, burstLimit: 20 },
            "/votes/GET": { rateLimit: 50, burstLimit: 100 },
          },
        },
      ],
    });
    const key = new gateway.CfnApiKey(this, "Key", {
      enabled: true,
      description: "For the routes of document A, where the gateway asks for a key",
      value: choose(options.keyRequired, options.keyValue),
    });
    new gateway.CfnUsagePlanKey(this, "PlanKey", { keyId: key.ref, keyType: "API_KEY", usagePlanId: plan.ref });
    return key;
  }
}

function idOf(path: string | null): string {
  if (path === null) return "Root";
  return path === "{proxy+}" ? "Any" : path[0]!.toUpperCase() + path.slice(1);
}

// Document B's model and validator. It refuses nothing that the function would take.
function validated(scope: Construct, api: gateway.CfnRestApi, made: CfnResource[]): Partial<gateway.CfnMethodProps> {
  const named = { type: "string", minLength: 1 };
  const optional = { type: ["string", "null"] };
  const model = new gateway.CfnModel(scope, "VoteModel", {
    restApiId: api.ref,
    contentType: "application/json",
    schema: {
      $schema: "http://json-schema.org/draft-04/schema#",
      title: "Vote",
      type: "object",
      required: ["pollId", "optionId"],
      properties: {
        pollId: named,
        optionId: named,
        voterId: optional,
        idempotencyKey: optional,
        demographics: {
          type: ["object", "null"],
          additionalProperties: { type: ["string", "number", "boolean", "null"] },
        },
      },
    },
  });
  const validator = new gateway.CfnRequestValidator(scope, "VoteValidator", {
    restApiId: api.ref,
    name: "body",
    validateRequestBody: true,
    validateRequestParameters: false,
  });
  made.push(model, validator);
  return { requestModels: { "application/json": model.ref }, requestValidatorId: validator.ref };
}
