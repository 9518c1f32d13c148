// What may stand before the API: a web application firewall, CloudFront, and a name of one's own.
import { Aws, CfnCondition, Fn, aws_apigateway as gateway, aws_cloudfront as cloudfront, aws_secretsmanager as secrets, aws_wafv2 as waf } from "aws-cdk-lib";
import { Construct } from "constructs";
import { Api } from "./api";
import { Switch, choose, part } from "./switch";
import { accept } from "./reasons";

/** Managed by AWS, the same in every account. */
const CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad";
const CACHING_BY_ORIGIN = "658327ea-f89d-4fab-a63d-7e88639e58f6";
const ALL_BUT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac";

/** Fields that CloudFront writes over whatever a caller sent: what it is known by, and the caller's address. The function
 * believes the second by the first (`gateway.rs`), so nobody can name an address that goes around CloudFront. */
const EDGE_KEY = "x-canvass-edge";
const EDGE_CALLER = "x-canvass-caller";

/** A result may be this old, where the API says that everybody may see it: a thousand who watch cost one request. */
const RESULTS_SECONDS_MAX = 1;

/** What to put before the API. */
export interface EdgeOptions {
  readonly cloudFront: Switch;
  /** What CloudFront is known by; there where it is. */
  readonly key: secrets.CfnSecret | undefined;
  /** Whether there is a domain name, with its certificate: in us-east-1 for CloudFront, else in the stack's region. */
  readonly domain: Switch;
  readonly domainName: string;
  readonly certificateArn: string;
  readonly firewall: Switch;
  /** Requests of one address in five minutes. */
  readonly firewallRateLimit: number;
}

/** What was put there. */
export interface Edge {
  readonly distribution: cloudfront.CfnDistribution | undefined;
  readonly domain: gateway.CfnDomainName | undefined;
  readonly domainOnApi: Switch;
}

export function makeEdge(scope: Construct, api: Api, options: EdgeOptions): Edge {
  makeFirewall(scope, api, options);
  const { key } = options;
  const distribution = key && part(scope, "CloudFront", options.cloudFront, (inside) => makeDistribution(inside, api, key, options));
  const domainOnApi = without(scope, options.domain, options.cloudFront);
  const domain = part(scope, "ApiDomain", domainOnApi, (inside) => makeDomain(inside, api, options));
  return { distribution, domain, domainOnApi };
}

/** What CloudFront is known by: a text that only it and the function read. */
export function makeEdgeKey(scope: Construct, cloudFront: Switch): secrets.CfnSecret | undefined {
  return part(scope, "EdgeKey", cloudFront, (inside) => {
    const secret = new secrets.CfnSecret(inside, "Secret", {
      description: "What CloudFront shows to Canvass, so that it is believed whose requests it passes on",
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
    });
    accept(secret, "AwsSolutions-SMG4", "CloudFront and the function would have to change it in one moment; nobody else can read it.");
    return secret;
  });
}

/** The name belongs to whatever stands outermost. */
function without(scope: Construct, on: Switch, other: Switch): Switch {
  if (typeof other === "boolean") return other ? false : on;
  if (on === false) return false;
  const away = Fn.conditionNot(other);
  const expression = on === true ? away : Fn.conditionAnd(on, away);
  return new CfnCondition(scope, "HasDomainOnApi", { expression });
}

function makeDomain(scope: Construct, api: Api, options: EdgeOptions): gateway.CfnDomainName {
  const domain = new gateway.CfnDomainName(scope, "Name", {
    domainName: options.domainName,
    regionalCertificateArn: options.certificateArn,
    endpointConfiguration: { types: ["REGIONAL"] },
    securityPolicy: "TLS_1_2",
  });
  new gateway.CfnBasePathMapping(scope, "Mapping", {
    domainName: domain.ref,
    restApiId: api.api.ref,
    stage: api.stage.ref,
  });
  return domain;
}

function makeFirewall(scope: Construct, api: Api, options: EdgeOptions): void {
  part(scope, "Firewall", options.firewall, (inside) => {
    const visibility = (metricName: string) => ({
      cloudWatchMetricsEnabled: true,
      // Samples hold addresses and paths.
      sampledRequestsEnabled: false,
      metricName,
    });
    const firewall = new waf.CfnWebACL(inside, "WebAcl", {
      scope: "REGIONAL",
      defaultAction: { allow: {} },
      visibilityConfig: visibility("all"),
      rules: [
        {
          name: "rate",
          priority: 0,
          action: { block: { customResponse: { responseCode: 429 } } },
          statement: {
            rateBasedStatement: {
              limit: options.firewallRateLimit,
              aggregateKeyType: choose(options.cloudFront, "FORWARDED_IP", "IP"),
            },
          },
          visibilityConfig: visibility("rate"),
        },
      ],
    });
    // Behind CloudFront every request comes from CloudFront, which says for whom. Whoever goes around it is not counted.
    const forwarded = { HeaderName: EDGE_CALLER, FallbackBehavior: "MATCH" };
    firewall.addPropertyOverride(
      "Rules.0.Statement.RateBasedStatement.ForwardedIPConfig",
      choose(options.cloudFront, forwarded),
    );
    new waf.CfnWebACLAssociation(inside, "OnStage", {
      resourceArn: `arn:${Aws.PARTITION}:apigateway:${Aws.REGION}::/restapis/${api.api.ref}/stages/${api.stage.ref}`,
      webAclArn: firewall.attrArn,
    });
  });
}

function makeDistribution(scope: Construct, api: Api, key: secrets.CfnSecret, options: EdgeOptions): cloudfront.CfnDistribution {
  const results = makeResultsPolicy(scope);
  const home = makeHomeFunction(scope, api);
  const caller = makeCallerFunction(scope);
  const behaviour = (cachePolicyId: string, allowedMethods: string[]) => ({
    targetOriginId: "api",
    viewerProtocolPolicy: "redirect-to-https",
    allowedMethods,
    cachePolicyId,
    originRequestPolicyId: ALL_BUT_HOST,
    functionAssociations: [
      { eventType: "viewer-request", functionArn: caller.attrFunctionArn },
      { eventType: "viewer-response", functionArn: home.attrFunctionArn },
    ],
    compress: true,
  });
  const reads = ["GET", "HEAD", "OPTIONS"];
  const distribution = new cloudfront.CfnDistribution(scope, "Distribution", {
    distributionConfig: {
      enabled: true,
      comment: Aws.STACK_NAME,
      httpVersion: "http2and3",
      ipv6Enabled: true,
      priceClass: "PriceClass_All",
      aliases: choose(options.domain, [options.domainName]),
      viewerCertificate: {
        cloudFrontDefaultCertificate: choose(options.domain, Aws.NO_VALUE, true),
        acmCertificateArn: choose(options.domain, options.certificateArn),
        sslSupportMethod: choose(options.domain, "sni-only"),
        minimumProtocolVersion: choose(options.domain, "TLSv1.2_2021"),
      },
      origins: [
        {
          id: "api",
          domainName: `${api.api.ref}.execute-api.${Aws.REGION}.${Aws.URL_SUFFIX}`,
          originPath: `/${api.stage.ref}`,
          originCustomHeaders: [{ headerName: EDGE_KEY, headerValue: `{{resolve:secretsmanager:${key.ref}}}` }],
          customOriginConfig: { originProtocolPolicy: "https-only", originSslProtocols: ["TLSv1.2"] },
        },
      ],
      defaultCacheBehavior: behaviour(CACHING_DISABLED, ["GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"]),
      cacheBehaviors: [
        { pathPattern: "/v1/polls/*/results", ...behaviour(results, reads) },
        { pathPattern: "/results", ...behaviour(results, reads) },
        { pathPattern: "/assets/*", ...behaviour(CACHING_BY_ORIGIN, reads) },
      ],
      // What went wrong a moment ago is asked for anew.
      customErrorResponses: [404, 500, 502, 503, 504].map((errorCode) => ({ errorCode, errorCachingMinTtl: 0 })),
    },
  });
  // The certificate's parameter is empty only where there is no domain.
  distribution.cfnOptions.metadata = { "cfn-lint": { config: { ignore_checks: ["W1030"] } } };
  accept(distribution, "AwsSolutions-CFR1", "Where people may vote from is for the polls to say, not for this template.");
  accept(distribution, "AwsSolutions-CFR2", "The web ACL stands at the API's stage, for those too who go around CloudFront; WafRateLimit turns it on.");
  accept(distribution, "AwsSolutions-CFR3", "Its logs hold the addresses of voters; the API's access log tells of every request without them.");
  accept(distribution, "AwsSolutions-CFR4", "Without a name of one's own CloudFront's certificate sets the versions; with DomainName it is TLS 1.2 or newer.");
  return distribution;
}

// The API leads callers back under its stage, which CloudFront hides.
function makeHomeFunction(scope: Construct, api: Api): cloudfront.CfnFunction {
  return new cloudfront.CfnFunction(scope, "WithoutStage", {
    name: `${Aws.STACK_NAME}-without-stage`,
    autoPublish: true,
    functionConfig: { comment: "Takes the stage out of Location", runtime: "cloudfront-js-2.0" },
    functionCode: `function handler(event) {
  var response = event.response;
  var place = response.headers.location;
  var stage = "/${api.stage.ref}/";
  if (place && place.value.startsWith(stage)) place.value = place.value.slice(stage.length - 1);
  return response;
}
`,
  });
}

// For the API every caller has CloudFront's address.
function makeCallerFunction(scope: Construct): cloudfront.CfnFunction {
  return new cloudfront.CfnFunction(scope, "WithCaller", {
    name: `${Aws.STACK_NAME}-with-caller`,
    autoPublish: true,
    functionConfig: { comment: "Says who asks", runtime: "cloudfront-js-2.0" },
    functionCode: `function handler(event) {
  var request = event.request;
  request.headers["${EDGE_CALLER}"] = { value: event.viewer.ip };
  return request;
}
`,
  });
}

// Everything that decides what a caller sees is part of the key, so that nobody is shown another's results.
function makeResultsPolicy(scope: Construct): string {
  const policy = new cloudfront.CfnCachePolicy(scope, "ResultsCaching", {
    cachePolicyConfig: {
      name: `${Aws.STACK_NAME}-results`,
      minTtl: 0,
      defaultTtl: 0,
      maxTtl: RESULTS_SECONDS_MAX,
      parametersInCacheKeyAndForwardedToOrigin: {
        enableAcceptEncodingGzip: true,
        enableAcceptEncodingBrotli: true,
        queryStringsConfig: { queryStringBehavior: "all" },
        cookiesConfig: { cookieBehavior: "all" },
        headersConfig: {
          headerBehavior: "whitelist",
          headers: ["Authorization", "x-api-key", "x-voting-code", "Origin"],
        },
      },
    },
  });
  return policy.ref;
}
