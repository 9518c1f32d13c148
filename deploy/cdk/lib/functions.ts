// The three functions. Each has a role of its own, with the actions that its code uses on the things that it uses.
import { Aws, CfnDeletionPolicy, aws_iam as iam, aws_lambda as lambda, aws_logs as logs } from "aws-cdk-lib";
import { Construct } from "constructs";

/** Where the archives `api.zip`, `tally.zip` and `export.zip` lie. */
export interface Archives {
  /** A bucket in the stack's region. */
  readonly bucket: string;
  /** What stands before the archives' names, with its slash. A new release needs a new one, or nothing is updated. */
  readonly prefix: string;
  /** `x86_64` or `arm64`, for which the archives were built. */
  readonly architecture: string;
}

/** One of IAM's statements. */
export interface Statement {
  readonly Action: string[];
  readonly Resource: unknown;
}

/** What a function is made of. */
export interface FunctionOptions {
  /** The archive's name without its ending. */
  readonly name: string;
  readonly description: string;
  readonly memoryMebibytes: number;
  readonly timeoutSeconds: number;
  readonly environment: Record<string, string>;
  /** What it may do, by a name for each reason. */
  readonly permissions: Record<string, Statement[]>;
}

/** A function with its role and its log. */
export class CanvassFunction extends Construct {
  readonly resource: lambda.CfnFunction;
  readonly role: iam.CfnRole;
  readonly timeoutSeconds: number;

  constructor(scope: Construct, id: string, archives: Archives, options: FunctionOptions) {
    super(scope, id);
    const functionName = `${Aws.STACK_NAME}-${options.name}`;
    this.timeoutSeconds = options.timeoutSeconds;
    const log = new logs.CfnLogGroup(this, "Log", { logGroupName: `/aws/lambda/${functionName}`, retentionInDays: 30 });
    log.cfnOptions.deletionPolicy = CfnDeletionPolicy.DELETE;
    log.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.DELETE;
    const writeLog = { Action: ["logs:CreateLogStream", "logs:PutLogEvents"], Resource: log.attrArn };
    this.role = new iam.CfnRole(this, "Role", {
      description: `What ${functionName} may do, and nothing else`,
      assumeRolePolicyDocument: assumedBy("lambda.amazonaws.com"),
      policies: Object.entries({ WriteLog: [writeLog], ...options.permissions }).map(([policyName, statements]) => ({
        policyName,
        policyDocument: allow(statements),
      })),
    });
    this.resource = new lambda.CfnFunction(this, "Function", {
      functionName,
      description: options.description,
      runtime: "provided.al2023",
      handler: "bootstrap",
      architectures: [archives.architecture],
      code: { s3Bucket: archives.bucket, s3Key: `${archives.prefix}${options.name}.zip` },
      role: this.role.attrArn,
      memorySize: options.memoryMebibytes,
      timeout: options.timeoutSeconds,
      environment: { variables: options.environment },
      loggingConfig: { logGroup: log.ref },
    });
  }
}

/** The trust that lets one service take a role, on behalf of this account alone where it says for whom it acts. */
export function assumedBy(service: string) {
  return {
    Version: "2012-10-17",
    Statement: [{ Effect: "Allow", Principal: { Service: service }, Action: "sts:AssumeRole" }],
  };
}

/** A policy that allows. */
export function allow(statements: Statement[]) {
  return {
    Version: "2012-10-17",
    Statement: statements.map((statement) => ({ Effect: "Allow", ...statement })),
  };
}
