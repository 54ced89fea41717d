{#- As with the real one, a group that only one side has goes unseen, and so does a side without
    rows; with no rows on either side the test ends in an error. Where a table may be empty, test
    for that as well. -#}
{% test equal_rowcount(model, compare_model, group_by_columns=[]) %}

{{- config(fail_calc="sum(coalesce(difference, 0))") -}}

with
{% for side, relation in [("one", model), ("other", compare_model)] %}
{{ side }}_side as (

    select
        1 as paired,
        {%- for column in group_by_columns %}
        {{ column }},
        {%- endfor %}
        count(*) as row_count
    from {{ relation }}
    {%- if group_by_columns %}
    group by {{ group_by_columns | join(", ") }}
    {%- endif %}
    having count(*) > 0

),
{% endfor %}
compared as (

    select abs(one_side.row_count - other_side.row_count) as difference
    from one_side
    full join other_side using ({{ (["paired"] + group_by_columns) | join(", ") }})

)

select * from compared

{% endtest %}
