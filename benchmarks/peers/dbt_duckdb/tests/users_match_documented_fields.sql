{{ config(severity='warn') }}

with

structures as (

    select json_structure(payload)::varchar as structure, count(*) as users, min(record_index) as first_record_index
    from {{ source('randomuser', 'users') }}
    group by structure

)

-- a postcode is a number or a string; the value of an identity may be null
select * from structures
where replace(replace(structure, '"postcode":"UBIGINT"', '"postcode":"VARCHAR"'), '"value":"NULL"', '"value":"VARCHAR"') != '{"gender":"VARCHAR","name":{"title":"VARCHAR","first":"VARCHAR","last":"VARCHAR"},"location":{"street":{"number":"UBIGINT","name":"VARCHAR"},"city":"VARCHAR","state":"VARCHAR","country":"VARCHAR","postcode":"VARCHAR","coordinates":{"latitude":"VARCHAR","longitude":"VARCHAR"},"timezone":{"offset":"VARCHAR","description":"VARCHAR"}},"email":"VARCHAR","login":{"uuid":"VARCHAR","username":"VARCHAR","password":"VARCHAR","salt":"VARCHAR","md5":"VARCHAR","sha1":"VARCHAR","sha256":"VARCHAR"},"dob":{"date":"VARCHAR","age":"UBIGINT"},"registered":{"date":"VARCHAR","age":"UBIGINT"},"phone":"VARCHAR","cell":"VARCHAR","id":{"name":"VARCHAR","value":"VARCHAR"},"picture":{"large":"VARCHAR","medium":"VARCHAR","thumbnail":"VARCHAR"},"nat":"VARCHAR"}'
