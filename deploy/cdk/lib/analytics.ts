// The exports as tables: Glue describes the files, Athena asks them, QuickSight shows them. Voters' names are in none of
// what is shown.
import { Aws, Fn, aws_athena as athena, aws_glue as glue, aws_quicksight as quicksight } from "aws-cdk-lib";
import { Construct } from "constructs";
import { accept } from "./reasons";
import { EXPORTS_PREFIX, QUERIES_PREFIX } from "./storage";
import { Switch, part } from "./switch";
import { definition } from "./visuals";

/** The columns of an export in CSV, in their order (docs/exports.md). What follows them are a poll's own dimensions. */
export const CSV_COLUMNS = [
  "voteId",
  "pollId",
  "optionId",
  "voterId",
  "timestamp",
  "demographics",
  "ballot",
  "weight",
];

/** What QuickSight is given: the columns of the query below, with types that a query may have. */
export const COLUMNS: quicksight.CfnDataSet.InputColumnProperty[] = [
  { name: "poll", type: "STRING" },
  { name: "chosen", type: "STRING" },
  { name: "cast_at", type: "DATETIME" },
  { name: "weight", type: "DECIMAL" },
  { name: "age_group", type: "STRING" },
  { name: "location", type: "STRING" },
  { name: "gender", type: "STRING" },
];

/** Every export holds the whole poll, so only the newest file of each counts. Their names are in order of time. */
export function newestVotes(database: string): string {
  return `SELECT v.pollid AS poll,
  nullif(v.optionid, '') AS chosen,
  CAST(from_iso8601_timestamp(v."timestamp") AS timestamp) AS cast_at,
  CAST(v.weight AS decimal(18, 6)) AS weight,
  json_extract_scalar(v.demographics, '$.ageGroup') AS age_group,
  json_extract_scalar(v.demographics, '$.location') AS location,
  json_extract_scalar(v.demographics, '$.gender') AS gender
FROM "${database}"."votes" v
JOIN (SELECT pollid, max("$path") AS newest FROM "${database}"."votes" GROUP BY pollid) n
  ON v.pollid = n.pollid AND v."$path" = n.newest`;
}

/** Where QuickSight's dashboard is, if there is one. */
export function makeAnalytics(scope: Construct, on: Switch, user: string, bucket: string) {
  return part(scope, "Analytics", on, (inside) => {
    const database = Fn.join("_", Fn.split("-", Aws.STACK_NAME));
    const queried = makeTable(inside, database, bucket);
    const workGroup = makeWorkGroup(inside, bucket);
    const source = makeSource(inside, user, workGroup);
    const votes = makeDataSet(inside, user, source, database);
    votes.addResourceDependency(queried);
    const shown = definition(votes.attrArn, COLUMNS);
    const analysis = makeAnalysis(inside, user, shown);
    const dashboard = makeDashboard(inside, user, shown);
    for (const seen of [source, votes, analysis, dashboard]) {
      accept(seen, "CloudFormation-Validate::W1030", "The parameter is empty only where none of this is made.");
    }
    return dashboard;
  });
}

function makeTable(scope: Construct, name: string, bucket: string): glue.CfnTable {
  const database = new glue.CfnDatabase(scope, "Database", { catalogId: Aws.ACCOUNT_ID, databaseInput: { name } });
  return new glue.CfnTable(scope, "Votes", {
    catalogId: Aws.ACCOUNT_ID,
    databaseName: database.ref,
    tableInput: {
      name: "votes",
      tableType: "EXTERNAL_TABLE",
      parameters: { classification: "csv", "skip.header.line.count": "1" },
      storageDescriptor: {
        location: `s3://${bucket}/${EXPORTS_PREFIX}/exports/`,
        inputFormat: "org.apache.hadoop.mapred.TextInputFormat",
        outputFormat: "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        // This reader knows texts only.
        columns: CSV_COLUMNS.map((column) => ({ name: column.toLowerCase(), type: "string" })),
        serdeInfo: {
          serializationLibrary: "org.apache.hadoop.hive.serde2.OpenCSVSerde",
          // Quotes are doubled in the files, and a backslash means itself; the reader wants some escape, so it gets a
          // character that hardly occurs.
          parameters: { separatorChar: ",", quoteChar: '"', escapeChar: "\u00a6" },
        },
      },
    },
  });
}

function makeWorkGroup(scope: Construct, bucket: string): athena.CfnWorkGroup {
  return new athena.CfnWorkGroup(scope, "WorkGroup", {
    name: Aws.STACK_NAME,
    workGroupConfiguration: {
      enforceWorkGroupConfiguration: true,
      publishCloudWatchMetricsEnabled: true,
      bytesScannedCutoffPerQuery: 10 * 1024 ** 3,
      resultConfiguration: {
        outputLocation: `s3://${bucket}/${QUERIES_PREFIX}/`,
        encryptionConfiguration: { encryptionOption: "SSE_S3" },
      },
    },
  });
}

function makeSource(scope: Construct, user: string, workGroup: athena.CfnWorkGroup): quicksight.CfnDataSource {
  const source = new quicksight.CfnDataSource(scope, "Source", {
    awsAccountId: Aws.ACCOUNT_ID,
    dataSourceId: `${Aws.STACK_NAME}-datasource`,
    name: `${Aws.STACK_NAME} exports`,
    type: "ATHENA",
    dataSourceParameters: { athenaParameters: { workGroup: workGroup.name } },
    sslProperties: { disableSsl: false },
    permissions: permit(user, ["DescribeDataSource", "DescribeDataSourcePermissions", "PassDataSource"]),
  });
  source.addResourceDependency(workGroup);
  return source;
}

function makeDataSet(scope: Construct, user: string, source: quicksight.CfnDataSource, database: string) {
  const votes = new quicksight.CfnDataSet(scope, "DataSet", {
    awsAccountId: Aws.ACCOUNT_ID,
    dataSetId: `${Aws.STACK_NAME}-dataset`,
    name: `${Aws.STACK_NAME} votes`,
    importMode: "SPICE",
    physicalTableMap: {
      votes: {
        customSql: {
          dataSourceArn: source.attrArn,
          name: "newest",
          sqlQuery: newestVotes(database),
          columns: COLUMNS,
        },
      },
    },
    permissions: permit(user, ["DescribeDataSet", "DescribeDataSetPermissions", "PassDataSet", "DescribeIngestion", "ListIngestions"]),
  });
  const refresh = new quicksight.CfnRefreshSchedule(scope, "Refresh", {
    awsAccountId: Aws.ACCOUNT_ID,
    dataSetId: votes.dataSetId!,
    schedule: { scheduleId: "hourly", refreshType: "FULL_REFRESH", scheduleFrequency: { interval: "HOURLY" } },
  });
  refresh.addResourceDependency(votes);
  return votes;
}

function makeAnalysis(scope: Construct, user: string, shown: quicksight.CfnAnalysis.AnalysisDefinitionProperty) {
  return new quicksight.CfnAnalysis(scope, "Analysis", {
    awsAccountId: Aws.ACCOUNT_ID,
    analysisId: `${Aws.STACK_NAME}-analysis`,
    name: `${Aws.STACK_NAME} votes`,
    definition: shown,
    permissions: permit(user, [
      "DescribeAnalysis",
      "DescribeAnalysisPermissions",
      "QueryAnalysis",
      "UpdateAnalysis",
      "UpdateAnalysisPermissions",
      "DeleteAnalysis",
      "RestoreAnalysis",
    ]),
  });
}

function makeDashboard(scope: Construct, user: string, shown: quicksight.CfnAnalysis.AnalysisDefinitionProperty) {
  return new quicksight.CfnDashboard(scope, "Dashboard", {
    awsAccountId: Aws.ACCOUNT_ID,
    dashboardId: `${Aws.STACK_NAME}-dashboard`,
    name: `${Aws.STACK_NAME} votes`,
    definition: shown as quicksight.CfnDashboard.DashboardVersionDefinitionProperty,
    permissions: permit(user, ["DescribeDashboard", "ListDashboardVersions", "QueryDashboard"]),
  });
}

function permit(principal: string, actions: string[]) {
  return [{ principal, actions: actions.map((action) => `quicksight:${action}`) }];
}
