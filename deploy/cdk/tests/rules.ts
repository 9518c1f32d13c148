// Rules over a template in JSON, for what the two documents' deployments got wrong. Each tells its breaches in words.

/** A template, as far as the rules look at it. */
export interface Template {
  readonly Resources: Record<string, Resource>;
}

export interface Resource {
  readonly Type: string;
  readonly Properties?: any;
  readonly DeletionPolicy?: string;
  readonly DependsOn?: string | string[];
}

/** What a rule has to know besides: what functions answer, and the metrics that they write, with their dimensions. */
export interface Known {
  readonly namespace: string;
  readonly metrics: Record<string, string[]>;
  /** The archives of functions, each with the routes that it answers, such as `GET /results`. */
  readonly archives: Record<string, string[]>;
}

export type Rule = (template: Template, known: Known) => string[];

/** Defects 2 and 3: a route that leads to a function which cannot answer it, or one that nobody can ask. */
export const routesAreServed: Rule = (template, known) => {
  const methods = of(template, "AWS::ApiGateway::Method").map(([id, { Properties }]) => {
    const to = references(Properties.Integration?.Uri).find((name) => template.Resources[name]?.Type === "AWS::Lambda::Function");
    return { id, to, method: Properties.HttpMethod as string, path: pathOf(template, Properties.ResourceId), answers: known.archives[archiveOf(template, to)] };
  });
  const isServed = ({ method, path, answers }: (typeof methods)[number]) =>
    answers?.some((route) => leadsTo(path, route.split(" ")[1]!) && ["ANY", "OPTIONS", route.split(" ")[0]].includes(method));
  const lost = methods.filter((one) => one.to !== undefined && !isServed(one));
  const unasked = Object.values(known.archives).flat().filter((route) => {
    const [method, path] = route.split(" ") as [string, string];
    const exact = methods.filter((one) => one.path === path);
    // The gateway looks at the narrowest path first, and then at no other.
    const asked = exact.length > 0 ? exact : methods.filter((one) => leadsTo(one.path, path));
    return !asked.some((one) => ["ANY", method].includes(one.method));
  });
  return [
    ...lost.map(({ id, to }) => `${id}: ${to} does not answer it`),
    ...unasked.map((route) => `nothing leads to ${route}`),
  ];
};

/** Defect 7: a stream whose failures go nowhere, or to where nobody looks. */
export const failuresAreKept: Rule = (template) =>
  of(template, "AWS::Lambda::EventSourceMapping").flatMap(([id, { Properties }]) => {
    const [queue] = references(Properties.DestinationConfig?.OnFailure?.Destination);
    if (queue === undefined) return [`${id}: records that keep failing are dropped`];
    const isWatched = of(template, "AWS::CloudWatch::Alarm").some(([, alarm]) =>
      alarm.Properties.Namespace === "AWS/SQS" && references(alarm.Properties.Dimensions).includes(queue));
    return isWatched ? [] : [`${id}: no alarm looks at ${queue}`];
  });

/** Defects 4, 7 and 8: a stream that is not read from its first record on, or not in order, or not with its shard. */
export const streamsAreReadWhole: Rule = (template) =>
  of(template, "AWS::Lambda::EventSourceMapping").flatMap(([id, { Properties }]) => {
    const wanted: [string, unknown, string][] = [
      ["StartingPosition", "TRIM_HORIZON", "the first votes can be missed"],
      ["ParallelizationFactor", 1, "a shard's records are folded side by side"],
      ["BisectBatchOnFunctionError", true, "a bad record fails its whole batch"],
      ["MaximumRecordAgeInSeconds", -1, "good records behind a bad one grow too old"],
    ];
    const found = wanted.filter(([name, value]) => Properties[name] !== value).map(([, , why]) => `${id}: ${why}`);
    if (!(Properties.TumblingWindowInSeconds > 0)) found.push(`${id}: its events do not name the shard`);
    if (!Properties.FunctionResponseTypes?.includes("ReportBatchItemFailures")) found.push(`${id}: cannot report one record`);
    return found;
  });

/** Defects 9 and 18: exports that come only when something else happens. */
export const exportsRunByTheClock: Rule = (template) => {
  const called = of(template, "AWS::Events::Rule")
    .filter(([, { Properties }]) => Properties.State === "ENABLED" && Properties.ScheduleExpression !== undefined)
    .flatMap(([, { Properties }]) => references(Properties.Targets.map((target: any) => target.Arn)));
  const allowed = of(template, "AWS::Lambda::Permission")
    .filter(([, { Properties }]) => Properties.Principal === "events.amazonaws.com")
    .flatMap(([, { Properties }]) => references(Properties.FunctionName));
  const exporting = called.filter((id) => archiveOf(template, id) === "export");
  if (exporting.length === 0) return ["no schedule calls the function that exports"];
  return exporting.filter((id) => !allowed.includes(id)).map((id) => `${id}: the schedule may not call it`);
};

/** Defects 6 and 13: votes, or the keys that make them count once, that are forgotten by the clock. */
export const nothingExpires: Rule = (template) =>
  of(template, "AWS::DynamoDB::Table")
    .filter(([, { Properties }]) => Properties.TimeToLiveSpecification?.Enabled)
    .map(([id]) => `${id}: its items are deleted after a time`);

/** Defect 12: a table of votes whose key does not hold the voter, so that nothing keeps one from voting twice. */
export const votesAreKeyedByVoter: Rule = (template) =>
  of(template, "AWS::DynamoDB::Table")
    .filter(([, { Properties }]) => Properties.StreamSpecification !== undefined && Properties.KeySchema.length < 2)
    .map(([id, { Properties }]) => `${id}: keyed by ${Properties.KeySchema[0].AttributeName} alone`);

/** What the documents promise, and do for some of their functions: an alarm for each way in which a function fails. */
export const functionsAreWatched: Rule = (template) =>
  of(template, "AWS::Lambda::Function").flatMap(([id]) => {
    const watched = of(template, "AWS::CloudWatch::Alarm")
      .filter(([, { Properties }]) => Properties.Namespace === "AWS/Lambda" && references(Properties.Dimensions).includes(id))
      .map(([, { Properties }]) => Properties.MetricName);
    return ["Errors", "Throttles", "Duration"].filter((metric) => !watched.includes(metric)).map((metric) => `${id}: no alarm looks at its ${metric}`);
  });

/** Defects 10 and 11: logs that hold what callers sent. */
export const logsHoldNoVoters: Rule = (template) =>
  of(template, "AWS::ApiGateway::Stage").flatMap(([id, { Properties }]) => {
    const settings: any[] = Properties.MethodSettings ?? [];
    const found = settings.some((one) => one.DataTraceEnabled) ? [`${id}: logs bodies`] : [];
    if (settings.some((one) => one.LoggingLevel === "INFO")) found.push(`${id}: logs paths`);
    const format = JSON.stringify(Properties.AccessLogSetting?.Format ?? "");
    const told = ["identity", "path", "resourceId", "authorizer", "requestOverride"].filter((name) =>
      format.includes(`$context.${name}.`) || format.includes(`$context.${name}\\"`));
    return [...found, ...told.map((name) => `${id}: logs ${name}`)];
  });

/** Defect 11: votes that go with the stack. */
export const votesOutliveTheStack: Rule = (template) =>
  ["AWS::DynamoDB::Table", "AWS::S3::Bucket"].flatMap((type) =>
    of(template, type).flatMap(([id, { DeletionPolicy, Properties }]) => {
      const found = DeletionPolicy === "Retain" ? [] : [`${id}: is deleted with the stack`];
      if (type !== "AWS::DynamoDB::Table") return found;
      if (Properties.DeletionProtectionEnabled !== true) found.push(`${id}: can be deleted by mistake`);
      const recovery = Properties.PointInTimeRecoverySpecification?.PointInTimeRecoveryEnabled;
      return recovery === true ? found : [...found, `${id}: cannot be restored to a moment`];
    }));

/** Defect 11: alarms that notify nobody. */
export const alarmsNotify: Rule = (template) => {
  const heard = of(template, "AWS::SNS::Topic").filter(([, topic]) => topic.Properties?.Subscription?.length > 0);
  const topics = heard.map(([id]) => id);
  return of(template, "AWS::CloudWatch::Alarm").flatMap(([id, { Properties }]) =>
    references(Properties.AlarmActions).some((topic) => topics.includes(topic)) ? [] : [`${id}: notifies nobody`]);
};

/** Defect 11: a runtime or an archive that is not the code's. */
export const codeFitsItsRuntime: Rule = (template, known) =>
  of(template, "AWS::Lambda::Function").flatMap(([id, { Properties }]) => {
    if (Properties.Runtime !== "provided.al2023" || Properties.Handler !== "bootstrap") return [`${id}: not the programs' runtime`];
    return archiveOf(template, id) in known.archives ? [] : [`${id}: no such archive`];
  });

/** Defect 14: a cache that speaks TLS to a client that does not. */
export const cachesAreSpokenToByTls: Rule = (template) => {
  const types = ["AWS::ElastiCache::ReplicationGroup", "AWS::ElastiCache::ServerlessCache"];
  const caches = types.flatMap((type) => of(template, type)).filter(([, { Type, Properties }]) =>
    Type.endsWith("ServerlessCache") || Properties.TransitEncryptionEnabled === true).map(([id]) => id);
  const clear = types.flatMap((type) => of(template, type)).filter(([id]) => !caches.includes(id));
  const found = clear.map(([id]) => `${id}: speaks without TLS`);
  for (const [id, { Properties }] of of(template, "AWS::Lambda::Function")) {
    for (const [name, value] of Object.entries(Properties.Environment?.Variables ?? {})) {
      const isCache = references(value).some((reference) => caches.includes(reference));
      if (isCache && !JSON.stringify(value).includes("rediss://")) found.push(`${id}: ${name} says nothing of TLS`);
    }
  }
  return found;
};

/** Defect 16: functions in subnets from which DynamoDB cannot be reached. */
export const subnetsReachDynamoDb: Rule = (template) => {
  const endpoints = of(template, "AWS::EC2::VPCEndpoint").filter(([, { Properties }]) =>
    Properties.VpcEndpointType === "Gateway" && JSON.stringify(Properties.ServiceName).includes("dynamodb"));
  const tables = endpoints.flatMap(([, { Properties }]) => references(Properties.RouteTableIds));
  const reached = of(template, "AWS::EC2::SubnetRouteTableAssociation")
    .filter(([, { Properties }]) => references(Properties.RouteTableId).some((table) => tables.includes(table)))
    .flatMap(([, { Properties }]) => references(Properties.SubnetId));
  return of(template, "AWS::Lambda::Function").flatMap(([id, { Properties }]) => {
    const subnets = references(Properties.VpcConfig).filter((name) => template.Resources[name]?.Type === "AWS::EC2::Subnet");
    return subnets.filter((subnet) => !reached.includes(subnet)).map((subnet) => `${id}: no way from ${subnet} to DynamoDB`);
  });
};

/** Defect 16: throttles where CloudFormation knows none, and logs that the account's role is not there for. */
export const stagesAreSetUp: Rule = (template) =>
  of(template, "AWS::ApiGateway::Stage").flatMap(([id, stage]) => {
    const { Properties } = stage;
    const found = "ThrottleSettings" in Properties ? [`${id}: ThrottleSettings is no property of a stage`] : [];
    const settings: any[] = Properties.MethodSettings ?? [];
    if (!settings.some((one) => one.ThrottlingRateLimit && one.ThrottlingBurstLimit)) found.push(`${id}: is not throttled`);
    const logs = Properties.AccessLogSetting || settings.some((one) => (one.LoggingLevel ?? "OFF") !== "OFF");
    const accounts = of(template, "AWS::ApiGateway::Account").map(([name]) => name);
    const waits = [...references(Properties), ...[stage.DependsOn ?? []].flat()].some((name) => accounts.includes(name));
    return logs && !waits ? [...found, `${id}: logs without the account's role`] : found;
  });

/** Defect 16: one role for several functions, or one that may do anything. */
export const rolesAreNarrow: Rule = (template) => {
  const found: string[] = [];
  const users = new Map<string, string[]>();
  for (const [id, { Properties }] of of(template, "AWS::Lambda::Function")) {
    for (const role of references(Properties.Role)) users.set(role, [...(users.get(role) ?? []), id]);
  }
  users.forEach((ids, role) => {
    if (ids.length > 1) found.push(`${role}: serves ${ids.join(", ")}`);
  });
  for (const [id, statement] of statements(template)) {
    const actions = [statement.Action].flat();
    actions.filter((action) => action.includes("*")).forEach((action) => found.push(`${id}: may ${action}`));
    const isAll = [statement.Resource].flat().includes("*");
    const wide = isAll ? actions.filter((action) => !ONLY_ON_ALL.some((known) => action === known || action.startsWith(known))) : [];
    wide.forEach((action) => found.push(`${id}: may ${action} on everything`));
  }
  return found;
};

/** Actions that know no narrower resource, or are done before there is one. */
const ONLY_ON_ALL = ["dynamodb:ListStreams", "ec2:"];

/** Defect 17: alarms on figures that nobody writes with these dimensions. */
export const alarmsLookAtWhatIsWritten: Rule = (template, known) =>
  of(template, "AWS::CloudWatch::Alarm").flatMap(([id, { Properties }]) => {
    const metrics = [Properties, ...(Properties.Metrics ?? []).map((one: any) => one.MetricStat?.Metric ?? {})];
    return metrics.filter((metric: any) => metric.MetricName && !metric.Namespace.startsWith("AWS/")).flatMap((metric: any) => {
      const written = metric.Namespace === known.namespace ? known.metrics[metric.MetricName] : undefined;
      if (written === undefined) return [`${id}: nobody writes ${metric.Namespace} ${metric.MetricName}`];
      const asked = (metric.Dimensions ?? []).map((one: any) => dimension(one.Name, one.Value));
      return written.some((one) => one === asked.join()) ? [] : [`${id}: ${metric.MetricName} is not written by [${asked}]`];
    });
  });

/** A dimension in words; a value that is only known once it is deployed is told as the template has it. */
export function dimension(name: string, value: unknown): string {
  return `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`;
}

/** Defect 18: data sets of files whose columns are not texts, of no file, or that nothing shows. */
export const dashboardsShowWhatIsThere: Rule = (template) => {
  const sets = of(template, "AWS::QuickSight::DataSet");
  const shown = of(template, "AWS::QuickSight::Dashboard").flatMap(([, { Properties }]) => references(Properties.Definition));
  return sets.flatMap(([id, { Properties }]) => {
    const found = shown.includes(id) ? [] : [`${id}: no dashboard shows it`];
    for (const table of Object.values<any>(Properties.PhysicalTableMap ?? {})) {
      const typed = (table.S3Source?.InputColumns ?? []).filter((column: any) => column.Type !== "STRING");
      typed.forEach((column: any) => found.push(`${id}: ${column.Name} of a file can only be a text`));
      if (table.S3Source) found.push(`${id}: its manifest is no part of the template`);
      const sql = flat(table.CustomSql?.SqlQuery);
      const missing = (table.CustomSql?.Columns ?? []).filter((column: any) => !sql.includes(` AS ${column.Name}`));
      missing.forEach((column: any) => found.push(`${id}: the query has no ${column.Name}`));
    }
    return found;
  });
};

/** All resources of a type. */
export function of(template: Template, type: string): [string, Resource][] {
  return Object.entries(template.Resources).filter(([, resource]) => resource.Type === type);
}

/** The name of the archive that a function runs, without its ending. */
export function archiveOf(template: Template, id: string | undefined): string {
  const { Code } = template.Resources[id ?? ""]?.Properties ?? {};
  return /([\w-]+)\.zip/.exec(JSON.stringify(Code?.S3Key ?? ""))?.[1] ?? "";
}

/** The path of a resource of an API. */
function pathOf(template: Template, resource: unknown): string {
  const parent = template.Resources[references(resource)[0] ?? ""];
  if (parent?.Type !== "AWS::ApiGateway::Resource") return "/";
  const before = pathOf(template, parent.Properties.ParentId);
  return `${before === "/" ? "" : before}/${parent.Properties.PathPart}`;
}

/** Whether a request for a path comes to a resource of the API. */
function leadsTo(resource: string, path: string): boolean {
  return resource === path || (resource.endsWith("/{proxy+}") && path !== "/" && path.startsWith(resource.slice(0, -"{proxy+}".length)));
}

/** What policies allow, by the role or policy that says so. */
export function statements(template: Template): [string, any][] {
  const policies = (Properties: any) => [...(Properties.Policies ?? []).map((policy: any) => policy.PolicyDocument), Properties.PolicyDocument];
  return ["AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"].flatMap((type) =>
    of(template, type).flatMap(([id, { Properties }]) =>
      policies(Properties).flatMap((document) => (document?.Statement ?? []).map((statement: any): [string, any] => [id, statement]))));
}

/** The names of the resources that a value refers to. */
export function references(value: any): string[] {
  if (Array.isArray(value)) return value.flatMap(references);
  if (value === null || typeof value !== "object") return [];
  if (typeof value.Ref === "string") return [value.Ref];
  if ("Fn::GetAtt" in value) return [[value["Fn::GetAtt"]].flat()[0].split(".")[0]];
  if ("Fn::Sub" in value) return [...[value["Fn::Sub"]].flat()[0].matchAll(/\$\{(\w+)[^}]*\}/g)].map((match) => match[1]);
  return Object.values(value).flatMap(references);
}

/** A text with what is joined into it left out. */
function flat(value: any): string {
  if (typeof value === "string") return value;
  return (value?.["Fn::Join"]?.[1] ?? []).map((part: unknown) => (typeof part === "string" ? part : "")).join("");
}
