// The bucket of results and exports, and the one that logs who read it. Both outlive the stack.
import { Aws, CfnDeletionPolicy, aws_s3 as s3 } from "aws-cdk-lib";
import { Construct } from "constructs";

/** Where the program's own files lie in the bucket; what else is in it is not the program's. */
export const EXPORTS_PREFIX = "canvass";
/** Where Athena puts what QuickSight asks for. */
export const QUERIES_PREFIX = "queries";

/** The results, and where reading them is logged. */
export interface Storage {
  readonly results: s3.CfnBucket;
  readonly logs: s3.CfnBucket;
}

export function makeStorage(scope: Construct): Storage {
  const logs = makeBucket(scope, "ResultsLogsBucket", {
    lifecycleConfiguration: { rules: [{ id: "ForgetOldLogs", status: "Enabled", expirationInDays: 90 }] },
  });
  const results = makeBucket(scope, "ResultsBucket", {
    loggingConfiguration: { destinationBucketName: logs.ref, logFilePrefix: "results/" },
    lifecycleConfiguration: {
      rules: [
        ageing("ArchiveOldExports", `${EXPORTS_PREFIX}/exports/`),
        ageing("ArchiveOldSnapshots", `${EXPORTS_PREFIX}/snapshots/`),
        { id: "ForgetQueries", status: "Enabled", prefix: `${QUERIES_PREFIX}/`, expirationInDays: 7 },
        { id: "ForgetReplaced", status: "Enabled", noncurrentVersionExpiration: { noncurrentDays: 90 } },
        { id: "ForgetUnfinished", status: "Enabled", abortIncompleteMultipartUpload: { daysAfterInitiation: 7 } },
      ],
    },
  });
  overTlsOnly(scope, "ResultsBucketPolicy", results, []);
  overTlsOnly(scope, "ResultsLogsBucketPolicy", logs, [
    {
      Effect: "Allow",
      Principal: { Service: "logging.s3.amazonaws.com" },
      Action: "s3:PutObject",
      Resource: `${logs.attrArn}/results/*`,
      Condition: {
        ArnLike: { "aws:SourceArn": results.attrArn },
        StringEquals: { "aws:SourceAccount": Aws.ACCOUNT_ID },
      },
    },
  ]);
  return { results, logs };
}

// Only files that are never read by the program again grow old: its state and its manifests stay where they are. They
// can still be read at once after 90 days, so that queries over all exports do not fail.
function ageing(id: string, prefix: string): s3.CfnBucket.RuleProperty {
  return {
    id,
    status: "Enabled",
    prefix,
    transitions: [
      { transitionInDays: 30, storageClass: "STANDARD_IA" },
      { transitionInDays: 90, storageClass: "GLACIER_IR" },
    ],
  };
}

function makeBucket(scope: Construct, id: string, more: Partial<s3.CfnBucketProps>): s3.CfnBucket {
  const bucket = new s3.CfnBucket(scope, id, {
    versioningConfiguration: { status: "Enabled" },
    bucketEncryption: {
      serverSideEncryptionConfiguration: [{ serverSideEncryptionByDefault: { sseAlgorithm: "AES256" } }],
    },
    publicAccessBlockConfiguration: {
      blockPublicAcls: true,
      blockPublicPolicy: true,
      ignorePublicAcls: true,
      restrictPublicBuckets: true,
    },
    ownershipControls: { rules: [{ objectOwnership: "BucketOwnerEnforced" }] },
    ...more,
  });
  bucket.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN;
  bucket.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
  return bucket;
}

function overTlsOnly(scope: Construct, id: string, bucket: s3.CfnBucket, more: object[]): void {
  const denied = {
    Effect: "Deny",
    Principal: { AWS: "*" },
    Action: "s3:*",
    Resource: [bucket.attrArn, `${bucket.attrArn}/*`],
    Condition: { Bool: { "aws:SecureTransport": "false" } },
  };
  const policy = new s3.CfnBucketPolicy(scope, id, {
    bucket: bucket.ref,
    policyDocument: { Version: "2012-10-17", Statement: [denied, ...more] },
  });
  policy.cfnOptions.deletionPolicy = CfnDeletionPolicy.RETAIN;
  policy.cfnOptions.updateReplacePolicy = CfnDeletionPolicy.RETAIN;
}
