// What the analysis and the dashboard show: one sheet, of one poll or several, with the demographics that the documents
// name.
import { aws_quicksight as quicksight } from "aws-cdk-lib";

type Visual = quicksight.CfnAnalysis.VisualProperty;

const SET = "votes";
const SHEET = "overview";
const FILTER = "poll";

/** The sheet over a data set that has these columns. */
export function definition(
  dataSetArn: string,
  columns: quicksight.CfnDataSet.InputColumnProperty[],
): quicksight.CfnAnalysis.AnalysisDefinitionProperty {
  const known = columns.map((column) => column.name);
  const shown = ["poll", "chosen", "cast_at", "weight", "age_group", "location", "gender"];
  const unknown = shown.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`the sheet shows ${unknown.join(", ")}, which the data set does not have`);
  return {
    dataSetIdentifierDeclarations: [{ identifier: SET, dataSetArn }],
    sheets: [
      {
        sheetId: SHEET,
        name: "Overview",
        visuals: [
          bars("options", "Votes by option", "chosen"),
          overTime(),
          bars("ages", "Votes by age group and option", "age_group", "chosen"),
          bars("locations", "Votes by location and option", "location", "chosen"),
          bars("genders", "Votes by gender and option", "gender", "chosen"),
        ],
        filterControls: [
          { dropdown: { filterControlId: "polls", title: "Poll", sourceFilterId: FILTER, type: "MULTI_SELECT" } },
        ],
      },
    ],
    filterGroups: [
      {
        filterGroupId: "polls",
        crossDataset: "ALL_DATASETS",
        status: "ENABLED",
        scopeConfiguration: {
          selectedSheets: { sheetVisualScopingConfigurations: [{ sheetId: SHEET, scope: "ALL_VISUALS" }] },
        },
        filters: [
          {
            categoryFilter: {
              filterId: FILTER,
              column: column("poll"),
              configuration: {
                filterListConfiguration: {
                  matchOperator: "CONTAINS",
                  selectAllOptions: "FILTER_ALL_VALUES",
                  nullOption: "NON_NULLS_ONLY",
                },
              },
            },
          },
        ],
      },
    ],
  };
}

function column(columnName: string) {
  return { dataSetIdentifier: SET, columnName };
}

function category(visual: string, name: string) {
  return { categoricalDimensionField: { fieldId: `${visual}.${name}`, column: column(name) } };
}

function votes(visual: string) {
  return {
    numericalMeasureField: {
      fieldId: `${visual}.weight`,
      column: column("weight"),
      aggregationFunction: { simpleNumericalAggregation: "SUM" },
    },
  };
}

function bars(visualId: string, plainText: string, by: string, colour?: string): Visual {
  return {
    barChartVisual: {
      visualId,
      title: { visibility: "VISIBLE", formatText: { plainText } },
      chartConfiguration: {
        orientation: "HORIZONTAL",
        barsArrangement: colour === undefined ? "CLUSTERED" : "STACKED",
        fieldWells: {
          barChartAggregatedFieldWells: {
            category: [category(visualId, by)],
            values: [votes(visualId)],
            ...(colour === undefined ? {} : { colors: [category(visualId, colour)] }),
          },
        },
      },
    },
  };
}

function overTime(): Visual {
  const visualId = "time";
  return {
    lineChartVisual: {
      visualId,
      title: { visibility: "VISIBLE", formatText: { plainText: "Votes over time" } },
      chartConfiguration: {
        type: "LINE",
        fieldWells: {
          lineChartAggregatedFieldWells: {
            category: [
              {
                dateDimensionField: { fieldId: `${visualId}.cast_at`, column: column("cast_at"), dateGranularity: "HOUR" },
              },
            ],
            values: [votes(visualId)],
            colors: [category(visualId, "chosen")],
          },
        },
      },
    },
  };
}
