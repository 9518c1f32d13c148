// Redis, and the network that it needs. Off unless asked for: it costs money while idle.
//
// Only the API's function enters this network. It has no way to the internet: DynamoDB is reached by a gateway endpoint
// on the route table of each subnet, the secret by an interface endpoint.
import { Aws, CfnResource, Fn, aws_ec2 as ec2, aws_elasticache as elasticache, aws_iam as iam } from "aws-cdk-lib";
import { Construct } from "constructs";
import { allow } from "./functions";
import { accept } from "./reasons";
import { Switch, choose, part } from "./switch";

/** Which Redis, if any. At most one of the two is on. */
export interface RedisOptions {
  /** Either is on. */
  readonly on: Switch;
  readonly serverless: Switch;
  readonly node: Switch;
  /** The type of the nodes, such as `cache.t3.micro`. */
  readonly nodeType: string;
  readonly tables: string[];
  /** What the function reads from Secrets Manager. */
  readonly secrets: string[];
}

/** Where the function that uses Redis runs, and where Redis is. */
export interface Network {
  /** The function's `VpcConfig`. */
  readonly vpcConfig: object;
  /** The policy that lets a function run there. */
  readonly mayEnter: string;
  /** The address, with TLS. */
  readonly url: string;
  readonly host: string;
}

const REDIS_PORT = 6379;

export function makeNetwork(scope: Construct, options: RedisOptions): Network | undefined {
  return part(scope, "Redis", options.on, (inside) => {
    const vpc = new ec2.CfnVPC(inside, "Vpc", {
      cidrBlock: "10.0.0.0/16",
      enableDnsHostnames: true,
      enableDnsSupport: true,
    });
    accept(vpc, "AwsSolutions-VPC7", "Nothing in it reaches the internet or is reached from it; flow logs cost more than they would show.");
    const routes = new ec2.CfnRouteTable(inside, "Routes", { vpcId: vpc.ref });
    const subnets = [0, 1].map((zone) => makeSubnet(inside, vpc, routes, zone));
    const functions = group(inside, "FunctionsGroup", vpc, "The function of the API");
    const caches = group(inside, "RedisGroup", vpc, "Redis");
    const endpoints = group(inside, "EndpointsGroup", vpc, "The way to Secrets Manager");
    connect(inside, "FunctionsToRedis", functions, caches, REDIS_PORT);
    connect(inside, "FunctionsToEndpoints", functions, endpoints, 443);
    makeEndpoints(inside, vpc, routes, subnets, endpoints, functions, options);
    const host = makeRedis(inside, subnets, caches, options);
    return {
      vpcConfig: { SubnetIds: subnets.map((subnet) => subnet.ref), SecurityGroupIds: [functions.attrGroupId] },
      mayEnter: makeEntry(inside).ref,
      // Both kinds speak TLS only.
      url: `rediss://${host}:${REDIS_PORT}`,
      host,
    };
  });
}

function makeEntry(scope: Construct): iam.CfnManagedPolicy {
  const policy = new iam.CfnManagedPolicy(scope, "EnterNetwork", {
    description: "Lets Lambda connect the function of the API to the network of Redis",
    policyDocument: allow([
      {
        Action: [
          "ec2:AssignPrivateIpAddresses",
          "ec2:CreateNetworkInterface",
          "ec2:DeleteNetworkInterface",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSubnets",
          "ec2:UnassignPrivateIpAddresses",
        ],
        Resource: "*",
      },
    ]),
  });
  accept(policy, "AwsSolutions-IAM5[Resource::*]", "Lambda makes network interfaces whose names nobody knows before, and most of these actions know no narrower resource.");
  return policy;
}

function makeSubnet(scope: Construct, vpc: ec2.CfnVPC, routes: ec2.CfnRouteTable, zone: number): ec2.CfnSubnet {
  const subnet = new ec2.CfnSubnet(scope, `PrivateSubnet${zone + 1}`, {
    vpcId: vpc.ref,
    cidrBlock: `10.0.${zone + 1}.0/24`,
    availabilityZone: Fn.select(zone, Fn.getAzs()),
  });
  new ec2.CfnSubnetRouteTableAssociation(scope, `PrivateRoutes${zone + 1}`, {
    subnetId: subnet.ref,
    routeTableId: routes.ref,
  });
  return subnet;
}

function group(scope: Construct, id: string, vpc: ec2.CfnVPC, groupDescription: string): ec2.CfnSecurityGroup {
  return new ec2.CfnSecurityGroup(scope, id, {
    groupDescription,
    vpcId: vpc.ref,
    // Without any rule AWS would allow all that goes out.
    securityGroupEgress: [
      { ipProtocol: "icmp", fromPort: 252, toPort: 86, cidrIp: "255.255.255.255/32", description: "Nothing" },
    ],
  });
}

function connect(
  scope: Construct,
  id: string,
  from: ec2.CfnSecurityGroup,
  to: ec2.CfnSecurityGroup,
  port: number,
): void {
  const rule = { ipProtocol: "tcp", fromPort: port, toPort: port };
  new ec2.CfnSecurityGroupEgress(scope, `${id}Out`, {
    ...rule,
    groupId: from.attrGroupId,
    destinationSecurityGroupId: to.attrGroupId,
  });
  new ec2.CfnSecurityGroupIngress(scope, `${id}In`, {
    ...rule,
    groupId: to.attrGroupId,
    sourceSecurityGroupId: from.attrGroupId,
  });
}

function makeEndpoints(
  scope: Construct,
  vpc: ec2.CfnVPC,
  routes: ec2.CfnRouteTable,
  subnets: ec2.CfnSubnet[],
  endpoints: ec2.CfnSecurityGroup,
  functions: ec2.CfnSecurityGroup,
  options: RedisOptions,
): void {
  new ec2.CfnVPCEndpoint(scope, "DynamoDbEndpoint", {
    vpcId: vpc.ref,
    vpcEndpointType: "Gateway",
    serviceName: `com.amazonaws.${Aws.REGION}.dynamodb`,
    routeTableIds: [routes.ref],
    policyDocument: endpointPolicy("dynamodb:*", options.tables),
  });
  // The gateway's addresses are AWS's public ones; the route table leads none but DynamoDB's anywhere.
  new ec2.CfnSecurityGroupEgress(scope, "FunctionsToDynamoDb", {
    groupId: functions.attrGroupId,
    ipProtocol: "tcp",
    fromPort: 443,
    toPort: 443,
    cidrIp: "0.0.0.0/0",
    description: "DynamoDB by the gateway endpoint",
  });
  new ec2.CfnVPCEndpoint(scope, "SecretsEndpoint", {
    vpcId: vpc.ref,
    vpcEndpointType: "Interface",
    serviceName: `com.amazonaws.${Aws.REGION}.secretsmanager`,
    privateDnsEnabled: true,
    subnetIds: subnets.map((subnet) => subnet.ref),
    securityGroupIds: [endpoints.attrGroupId],
    policyDocument: endpointPolicy("secretsmanager:GetSecretValue", options.secrets),
  });
}

// What may pass; who may do it is said by the role.
function endpointPolicy(action: string, resources: string[]) {
  return {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Principal: { AWS: "*" },
        Action: action,
        Resource: resources.flatMap((resource) =>
          action.startsWith("dynamodb") ? [resource, `${resource}/index/*`] : [resource],
        ),
        Condition: { StringEquals: { "aws:PrincipalAccount": Aws.ACCOUNT_ID } },
      },
    ],
  };
}

function makeRedis(scope: Construct, subnets: ec2.CfnSubnet[], caches: ec2.CfnSecurityGroup, options: RedisOptions) {
  const subnetIds = subnets.map((subnet) => subnet.ref);
  const securityGroupIds = [caches.attrGroupId];
  const serverless = part(scope, "Serverless", options.serverless, (inside) =>
    new elasticache.CfnServerlessCache(inside, "Cache", {
      serverlessCacheName: Aws.STACK_NAME,
      description: "Current results",
      engine: "valkey",
      majorEngineVersion: "8",
      subnetIds,
      securityGroupIds,
      // What it may cost at most; results are small.
      cacheUsageLimits: { dataStorage: { maximum: 1, unit: "GB" }, ecpuPerSecond: { maximum: 10_000 } },
    }));
  const nodes = part(scope, "Nodes", options.node, (inside) => {
    const subnetGroup = new elasticache.CfnSubnetGroup(inside, "Subnets", { description: "Redis", subnetIds });
    return withReasons(new elasticache.CfnReplicationGroup(inside, "Cache", {
      replicationGroupDescription: "Current results",
      engine: "valkey",
      engineVersion: "8.0",
      cacheNodeType: options.nodeType,
      numCacheClusters: 2,
      automaticFailoverEnabled: true,
      multiAzEnabled: true,
      atRestEncryptionEnabled: true,
      transitEncryptionEnabled: true,
      cacheSubnetGroupName: subnetGroup.ref,
      securityGroupIds,
    }));
  });
  return String(choose(options.serverless, serverless?.attrEndpointAddress, nodes?.attrPrimaryEndPointAddress));
}

function withReasons<T extends CfnResource>(cache: T): T {
  accept(cache, "AwsSolutions-AEC5", "The port is reached by one security group alone; another number would hide nothing.");
  accept(cache, "AwsSolutions-AEC6", "Only the API's function reaches it, over TLS; a password in the function's environment would protect nothing more. It holds what can be made again.");
  return cache;
}
